"""Import every handler, caption all samples with the model MODEL_PATH, and print the captions as JSON."""

import json
from importlib import import_module
from pathlib import Path

from PIL import Image

from image_processing.captions import get_captioner

ROOT = Path(__file__).parent.parent.parent


def main() -> None:
    for handler in sorted((ROOT / "functions").glob("*/app.py")):
        import_module(f"functions.{handler.parent.name}.app")
    pictures = (path for path in sorted((ROOT / "tools/exporter/samples").iterdir()) if path.suffix in {".jpg", ".png"})
    captions = {path.name: get_captioner().caption(Image.open(path).convert("RGB")) for path in pictures}
    print(json.dumps({name: [caption.text, float(caption.confidence)] for name, caption in captions.items()}))  # noqa: T201


if __name__ == "__main__":
    main()

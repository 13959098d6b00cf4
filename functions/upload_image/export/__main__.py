"""Export a BLIP to a model folder: `python -m functions.upload_image.export MODEL FOLDER`."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from functions.upload_image.captioner import Captioner
from functions.upload_image.export import ExportError, graphs, parity, sources

MAX_TOKENS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a hub id, or a folder in Hugging Face format")
    parser.add_argument("folder", type=Path, help="where the exported model is put; replaced if it exists")
    parser.add_argument("--revision", help="commit of the hub's model")
    parser.add_argument("--weights-sha256", help="digest of a pickled weights file that you trust")
    parser.add_argument("--name", help="what the model is called in model.json (default: hub id or folder name)")
    parser.add_argument("--note", default="", help="what a user should know; shown wherever the model is named")
    parser.add_argument("--samples", type=Path, default=Path("tests/photos"), help="photographs that it is checked on")
    options = parser.parse_args(arguments)
    try:
        source = sources.find(options.model, options.revision, options.weights_sha256)
        export(source, options.folder, options.samples, name=options.name or source.id, note=options.note)
    except ExportError as error:
        print(f"export failed: {error}", file=sys.stderr)
        return 1
    return 0


def export(source: sources.Source, folder: Path, samples: Path, name: str, note: str) -> None:
    """Write `folder` once the exported model is shown to do what transformers does. Raises ExportError."""
    paths = sorted([*samples.glob("*.jpg"), *samples.glob("*.png")])
    images = [Image.open(path).convert("RGB") for path in paths]
    if not images:
        raise ExportError(f"{samples} holds no .jpg or .png to check the exported model on")
    _say(f"loading {source.id} at {source.revision}")
    model = sources.load_model(source)
    processor, preprocessing = sources.load_preprocessing(source)
    text = model.config.text_config
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name_of_draft:
        draft = Path(name_of_draft, "model")
        draft.mkdir()
        _say("writing the ONNX graphs")
        graphs.write_graphs(model, draft)
        shutil.copyfile(source.folder / "tokenizer.json", draft / "tokenizer.json")
        described: dict[str, object] = {
            "id": name,
            "revision": source.revision,
            "precision": "fp32",
            "note": note,
            "preprocessing": asdict(preprocessing),
            "special_tokens": {"begin": text.bos_token_id, "end": text.sep_token_id},
            "files": {path.name: sources.sha256(path) for path in sorted(draft.iterdir())},
        }
        _describe(draft, described)
        _say(f"comparing with transformers on {len(images)} photographs")
        measured = parity.compare(Captioner(draft), model, processor, images, MAX_TOKENS)
        measured.require()
        _describe(draft, described | {"parity": asdict(measured)})
        for path in draft.iterdir():
            # A Lambda container runs as another user than the one that built it.
            path.chmod(0o644)
        if folder.exists():
            folder.rename(Path(name_of_draft, "replaced"))
        draft.rename(folder)
    _say(
        f"{folder} is ready: logits within {measured.logit_difference:.1e} of transformers on "
        f"{measured.steps} steps, {measured.images} captions equal"
    )


def _describe(folder: Path, described: dict[str, object]) -> None:
    (folder / "model.json").write_text(json.dumps(described, indent=2) + "\n")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Our caption engine, in a process of its own."""

import sys
import time
from pathlib import Path

from PIL import Image

from image_processing.captions import Captioner
from tools.measure.bench import tasks


def main(folder: str, photographs: str, tokens: str) -> None:
    """Write captions of exactly `tokens` tokens with the model in `folder`, on command (see `tasks.serve`)."""
    captioner = Captioner(Path(folder))

    def caption(image: Image.Image) -> None:
        written, _ = captioner.tokens(captioner.preprocess(image), int(tokens))
        if len(written) != int(tokens):
            raise RuntimeError(f"{len(written)} tokens")

    def caption_in_parts(image: Image.Image) -> dict[str, float]:
        pixels = captioner.preprocess(image)
        start = time.perf_counter()
        steps = captioner.logits(pixels)
        logits = next(steps)
        first = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(int(tokens) - 1):
            logits = steps.send(int(logits.argmax()))
        token = (time.perf_counter() - start) / (int(tokens) - 1)
        return {"encoder": first - token, "token": token}

    tasks.serve(caption, caption_in_parts, Path(photographs))


if __name__ == "__main__":
    main(*sys.argv[1:])

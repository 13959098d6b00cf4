"""The tasks of a measured process: write captions of photographs on command, and print how long it took."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image


def serve(
    caption: Callable[[Image.Image], None],
    caption_in_parts: Callable[[Image.Image], dict[str, float]],
    photographs: Path,
) -> None:
    """Write one caption and print the time. Then obey the lines of standard input until it ends.

    The line "whole N" measures N captions. The line "parts N" measures the encoder and one token, N times. All
    captions have the same number of tokens.
    """
    images = [Image.open(path).convert("RGB") for path in sorted(photographs.glob("*.jpg"))]
    caption(images[0])
    report({"first_caption_at": time.time()})
    for line in sys.stdin:
        what, count = line.split()
        chosen = [images[number % len(images)] for number in range(int(count))]
        measured = [_timed(caption, image) if what == "whole" else caption_in_parts(image) for image in chosen]
        report({"measured": measured, "peak_bytes": peak_bytes()})


def _timed(caption: Callable[[Image.Image], None], image: Image.Image) -> dict[str, float]:
    start = time.perf_counter()
    caption(image)
    return {"caption": time.perf_counter() - start}


def report(figures: dict[str, Any]) -> None:
    """Print one line of JSON for the parent process."""
    print(json.dumps(figures), flush=True)


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far; getrusage may return that of the parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

"""What every measured process does on command: caption photographs, and say how long it took."""

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
    """Caption one photograph, report when, then do as each line of standard input says, until it ends.

    "whole N" times N captions, "parts N" asks N times for the seconds of the encoder and of one token. All
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
    """Print one line of JSON for the process that asked."""
    print(json.dumps(figures), flush=True)


def peak_bytes() -> int:
    """Return this process's largest resident memory so far; unlike getrusage's, never that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

"""CPU time and memory of decoding and thumbnails, by LargeThumbnail: `python -m tools.measure.bench.thumbnails`.

Each photograph has 12 megapixels. The thumbnails are made one after the other. An upload makes them at the same time as
its caption.
"""

import ctypes
import gc
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from image_pipeline.models import STANDARD_SIZES
from image_processing import pictures, thumbnails
from image_processing.decoding import reduction
from tools.measure.bench.tasks import peak_bytes
from tools.measure.bench.upload import twelve_megapixels
from tools.template import ROOT

_PHOTOGRAPH = ROOT / "tests" / "photos" / "coffee.jpg"
_CAPTION_SIDE = 384
_MAX_PIXELS = 50_000_000
_ROUNDS = 7
_MEGA = 1_000_000


def main() -> None:
    """Print a Markdown table of medians."""
    print("| photograph | `LargeThumbnail` | decoding | thumbnails | memory at most | large thumbnail |")
    print("|---|---|---|---|---|---|")
    for image_format in ("JPEG", "PNG"):
        content = twelve_megapixels(_PHOTOGRAPH, image_format)
        for large in (0, 1600, 2560):
            sides = [*STANDARD_SIZES.values(), *([large] if large else [])]
            runs = [_run(content, sides) for _ in range(1 + _ROUNDS)][1:]  # the first one warms up
            decoding, making, peak, size = (statistics.median(values) for values in zip(*runs, strict=True))
            shown = f"{size / _MEGA:.2f} MB" if large else "none"
            print(
                f"| {image_format}, {len(content) / _MEGA:.1f} MB | {large} | {decoding * 1000:.0f} ms | "
                f"{making * 1000:.0f} ms | {peak / _MEGA:.0f} MB | {shown} |"
            )


def _run(content: bytes, sides: list[int]) -> tuple[float, float, int, int]:
    """Return the CPU seconds of both steps, the bytes of memory at most, and the bytes of the last thumbnail."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    # See proc(5): the peak is the present memory again.
    Path("/proc/self/clear_refs").write_text("5")
    resting, start = peak_bytes(), time.process_time()
    least = reduction.least_sides(max(sides), _CAPTION_SIDE)
    picture = pictures.decode(content, datetime.now(UTC), _MAX_PIXELS, least)
    decoded = time.process_time()
    made = [thumbnails.make(picture, side) for side in sides]
    return decoded - start, time.process_time() - decoded, peak_bytes() - resting, len(made[-1])


if __name__ == "__main__":
    main()

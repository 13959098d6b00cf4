"""A file within the limits costs at most 2 s of CPU and 400 MB, without its caption. A rejection costs far less."""

import gc
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest
from PIL import Image

from image_pipeline import settings
from image_pipeline.errors import PipelineError
from image_pipeline.http import forms
from image_pipeline.http.handler import STATUS
from image_pipeline.models import STANDARD_SIZES
from image_processing import pictures, thumbnails
from image_processing.decoding import reduction
from tests.contract.exif import exif
from tests.events import upload_event
from tests.hostile import corpus, costly
from tests.pictures import encode
from tools import template
from tools.measure.bench.tasks import peak_bytes

pytestmark = pytest.mark.usefixtures("aws")

CPU_SECONDS = 2
MEMORY_BYTES = 400_000_000
# Far more than a normal rejection takes. Only a serious problem exceeds these limits.
REJECTION_SECONDS = 0.25
REJECTION_BYTES = 50_000_000
# The memory of the whole process with BLIP-base in fp32, from docs/benchmarks.md.
FP32_PROCESS_BYTES = 1_148_000_000
SUMMARY = Path("build/hostile.md")
CORPUS = {hostile.case: hostile for hostile in corpus.files()}
COSTLY = costly.costly_files()

Costs = dict[str, tuple[float, int]]


@pytest.fixture(scope="module")
def costs() -> Iterator[Costs]:
    """Seconds of CPU and bytes of memory per file. At the end a summary is written for docs/reliability.md."""
    found: Costs = {}
    yield found
    slowest = max(found, key=lambda case: found[case][0])
    largest = max(found, key=lambda case: found[case][1])
    rejections = [found[case] for case in found if case in CORPUS and CORPUS[case].status != 200] or [(0.0, 0)]
    SUMMARY.parent.mkdir(exist_ok=True)
    SUMMARY.write_text(
        f"{len(found)} files\n"
        f"at most {found[slowest][0]:.2f} s of CPU: {slowest}\n"
        f"at most {found[largest][1] / 1e6:.0f} MB: {largest}\n"
        f"{len(rejections)} rejections: median {median(each for each, _ in rejections) * 1e3:.1f} ms, "
        f"longest {max(rejections)[0] * 1e3:.1f} ms of CPU, "
        f"at most {max(each for _, each in rejections) / 1e3:.0f} kB more memory\n"
    )


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Process two images first, because the first image in a process takes extra time and memory."""
    for mode in ("RGB", "CMYK"):
        picture = pictures.decode(encode(Image.new(mode, (64, 64)), "JPEG"), datetime.now(UTC), 10_000)
        thumbnails.make(picture, 32)


def processed(content: bytes, filename: str = "picture") -> tuple[int, tuple[float, int]]:
    """Process a file as an upload does, but without caption and storage. Return status and costs.

    On a machine with other work, the same file can cost half as much time again. So a file that seems too slow is
    processed up to three times, and the shortest time counts.
    """
    event = upload_event(content, filename)
    seconds, memory = float("inf"), 0
    for _ in range(3):
        status, (once, peak) = measured(lambda: forms.upload(event).content, settings.max_image_pixels())
        seconds, memory = min(seconds, once), max(memory, peak)
        if seconds <= CPU_SECONDS:
            break
    return status, (seconds, memory)


def measured(read: Callable[[], bytes], max_pixels: int, large: int = 0) -> tuple[int, tuple[float, int]]:
    """Read a file and make thumbnails, with a large one of this side. Return status and costs."""
    sides = [*STANDARD_SIZES.values(), *([large] if large else [])]
    gc.collect()
    resting, start = resting_bytes(), time.process_time()
    try:
        picture = pictures.decode(read(), datetime.now(UTC), max_pixels, reduction.least_sides(max(sides)))
        for side in sides:
            thumbnails.make(picture, side)
        pictures.flatten(picture)
        status = 200
    except PipelineError as error:
        status = int(STATUS[type(error)])
    return status, (time.process_time() - start, peak_bytes() - resting)


def resting_bytes() -> int:
    """Reset the peak memory of this process. Return the memory in use, in bytes. See proc(5), clear_refs."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def assert_little(costs: tuple[float, int]) -> None:
    seconds, memory = costs
    assert seconds <= CPU_SECONDS
    assert memory <= MEMORY_BYTES


@pytest.mark.parametrize("case", CORPUS)
def test_a_hostile_file_costs_little(case: str, costs: Costs) -> None:
    hostile = CORPUS[case]
    status, costs[case] = processed(hostile.content, hostile.filename)
    assert status == hostile.status
    assert_little(costs[case])
    if status != 200:
        assert costs[case][0] < REJECTION_SECONDS
        assert costs[case][1] < REJECTION_BYTES


@pytest.mark.parametrize("file", COSTLY, ids=str)
def test_a_costly_file_stays_within_the_cost_limits(file: costly.CostlyFile, costs: Costs) -> None:
    content = file.make()
    assert len(content) <= settings.max_upload_bytes()
    status, costs[file.case] = processed(content)
    assert status == file.status
    assert_little(costs[file.case])


@pytest.mark.parametrize(
    "make",
    [
        lambda: costly.png_of_pixels(100),
        lambda: costly.gray_png_of_pixels(250),
        lambda: encode(Image.new("CMYK", (12_000, 9_000), (9, 99, 199, 0)), "JPEG"),
        # The most pixels that are kept for a thumbnail of 2,560 pixels.
        lambda: encode(Image.new("RGB", (7_679, 5_759), (9, 99, 199)), "JPEG", exif=exif(orientation=6)),
    ],
    ids=[
        "PNG of 100 megapixels, RGB",
        "PNG of 250 megapixels, gray",
        "JPEG of 108 megapixels, CMYK",
        "JPEG of 44 megapixels, turned",
    ],
)
@pytest.mark.parametrize("large", [0, 1600, 2560])
def test_large_direct_uploads_fit_into_the_smallest_memory(make: Callable[[], bytes], large: int) -> None:
    parameters = template.read()["Parameters"]
    content = make()
    status, (_, memory) = measured(lambda: content, parameters["MaxDirectImagePixels"]["MaxValue"], large)
    assert status == 200
    file_bytes = parameters["MaxDirectUploadBytes"]["Default"]
    assert FP32_PROCESS_BYTES + memory + file_bytes <= parameters["UploadMemorySize"]["MinValue"] * 1024**2


def test_the_highest_pixel_limit_fits_into_the_smallest_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = template.read()["Parameters"]
    max_pixels = parameters["MaxImagePixels"]["MaxValue"]
    monkeypatch.setenv("MAX_IMAGE_PIXELS", str(max_pixels))
    status, (_, memory) = processed(costly.png_of_pixels(max_pixels // 1_000_000))
    assert status == 200
    assert FP32_PROCESS_BYTES + memory <= parameters["UploadMemorySize"]["MinValue"] * 1024**2
    monkeypatch.setenv("MAX_IMAGE_PIXELS", str(max_pixels + 1))
    with pytest.raises(settings.SettingError):
        settings.max_image_pixels()

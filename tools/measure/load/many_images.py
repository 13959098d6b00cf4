"""Measure `make serve` with many images in a folder: `python -m tools.measure.load.many_images`.

The images are records with captions and two small thumbnails each, stored as uploads store them.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import requests
from tqdm import tqdm

from image_pipeline import settings
from image_pipeline.storage import clients
from tools import template
from tools.demo_model import scenes
from tools.local import server
from tools.local.sample_images import sample_image, store_sample

_PHOTOGRAPH = template.ROOT / "tests" / "photos" / "coffee.jpg"
_THUMBNAIL_BYTES = 4000
_THREADS = 4
_REPEATS = 40
_READS = {
    "list of 20": "?limit=20",
    "list of 100": "?limit=100",
    "search for a word": "?q=circle&limit=20",
    "search for two frequent words": "?q=red+star&limit=20",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the medians with no images and with many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000, help="number of images (default: %(default)s)")
    images = parser.parse_args(arguments).images
    with TemporaryDirectory() as folder:
        empty, full = Path(folder) / "empty", Path(folder) / "full"
        _fill(full, images)
        measured = {number: _measure(data) for number, data in ((0, empty), (images, full))}
    print(f"| images | {' | '.join(measured[0])} |")
    print("|---" * (len(measured[0]) + 1) + "|")
    for number, times in measured.items():
        print(f"| {number:,} | {' | '.join(f'{1000 * seconds:,.0f} ms' for seconds in times.values())} |")


def _fill(folder: Path, images: int) -> None:
    rng = random.Random(26)
    captions = [scenes.random_scene(rng).caption for _ in range(images)]
    thumbnail = _PHOTOGRAPH.read_bytes()[:_THUMBNAIL_BYTES]
    with server.run(data=folder) as api, ThreadPoolExecutor(_THREADS) as pool:
        clients.s3()

        def store(number: int) -> None:
            record = sample_image(minutes=number)
            for key in record.thumbnails.values():
                clients.s3().put_object(Bucket=settings.bucket_name(), Key=key, Body=thumbnail)
            store_sample(replace(record, caption=captions[number], original_name=f"photo-{number}.jpg"))

        for _ in tqdm(pool.map(store, range(images)), total=images, unit="image"):
            pass
        # The index follows the table, in the same order.
        while _get(f"{api.url}/api/images?q={images - 1}").get("data") == "No image matches.":
            time.sleep(1)


def _measure(folder: Path) -> dict[str, float]:
    """Return the seconds until the API has started, and the medians of requests."""
    start = time.monotonic()
    with _serving(folder) as url:
        found = {"start": time.monotonic() - start}
        with requests.Session() as session:
            found["upload"] = _median(partial(_upload, session, url))
            image_id = _upload(session, url)
            paths = {name: f"images{query}" for name, query in _READS.items()}
            for name, path in (paths | {"image": f"images/{image_id}", "statistics": "stats"}).items():
                found[name] = _median(partial(_read, session, f"{url}/api/{path}"))
    return found


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """Run `make serve` until the block ends. Yield its URL."""
    command = [sys.executable, "-m", "tools.local.serve", "--port", "0", "--data", str(folder)]
    # Without bytecode, each start would compile everything again.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield next(found[1] for line in process.stdout if (found := re.search(r" on (http://\S+)", line)))
        finally:
            process.terminate()


def _median(request: Callable[[], object]) -> float:
    request()
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        request()
        times.append(time.perf_counter() - start)
    return median(times)


def _read(session: requests.Session, url: str) -> None:
    session.get(url, timeout=60).raise_for_status()


def _upload(session: requests.Session, url: str) -> str:
    with _PHOTOGRAPH.open("rb") as file:
        response = session.post(f"{url}/api/images", files={"file": file}, timeout=60)
    response.raise_for_status()
    image_id: str = response.json()["data"]["image_id"]
    return image_id


def _get(url: str) -> dict[str, object]:
    response = requests.get(url, timeout=60)
    response.raise_for_status()
    found: dict[str, object] = response.json()
    return found


if __name__ == "__main__":
    main()

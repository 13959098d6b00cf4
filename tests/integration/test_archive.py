"""An archive is uploaded over a bad network, by runs that are killed, and by two runs at once.

FILES=300 RESTARTS=10 for more of both.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import unreliable
from tests.contract.client import Client
from tests.integration.uploading import listed, remembered, rows, scene, started, upload
from tools.local import server

FILES = int(os.environ.get("FILES", "60"))
RESTARTS = int(os.environ.get("RESTARTS", "4"))
# One file in ten is bad: cut, empty, another format, or no picture at all.
BAD = [scene(0)[:400], b"", b"GIF89a", b"\xff\xd8\xff and no more"]
FAULTS = ["request lost", "response lost", unreliable.BUSY, (429, "", {"Retry-After": "0"})]

pytestmark = pytest.mark.xdist_group("archive")


@pytest.fixture(scope="module")
def api() -> Iterator[Client]:
    """An API with a low limit for forms, so that about half of the files are uploaded directly."""
    middle = sorted(len(scene(number)) for number in range(20))[10]
    with server.run(parameters={"MaxUploadBytes": str(middle)}) as running:
        yield Client(running.url)


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Path, set[str], set[str]]:
    """A folder, the names of its good files, and the names of its bad ones."""
    folder = tmp_path / "archive"
    good: set[str] = set()
    bad: set[str] = set()
    for number in range(FILES):
        name = f"{number % 7}/{number}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        is_bad = number % 10 == 9
        # Equal bad files would be one result.
        content = BAD[number // 10 % len(BAD)] + str(number).encode() if is_bad else scene(number)
        (folder / name).write_bytes(content)
        (bad if is_bad else good).add(name)
    return folder, good, bad


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_every_good_file_becomes_one_image_and_every_bad_one_is_in_the_report(
    api: Client, archive: tuple[Path, set[str], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, good, bad = archive
    rng, lock = Random(28), threading.Lock()
    paths: Counter[str] = Counter()

    def faults(_: str, path: str) -> Any:
        with lock:
            paths[path] += 1
            # The first request of a run is not repeated after a lost connection.
            return rng.choice(FAULTS) if rng.random() < 0.15 and path != "/api/stats" else None

    bucket = os.environ["UPLOADS_URL"]
    with unreliable.proxy(api.url, faults) as url, unreliable.proxy(bucket, faults) as storage:
        monkeypatch.setenv("UPLOADS_URL", bucket.replace(urlsplit(bucket).netloc, urlsplit(storage).netloc))
        for restart in range(RESTARTS):
            before = remembered(folder)
            with started(url, folder) as first, started(url, folder) as second:
                end = before + rng.randrange(2, 2 * FILES // RESTARTS)
                while remembered(folder) < end and {first.poll(), second.poll()} & {None}:
                    time.sleep(0.01)
                for process in (first, second):
                    process.send_signal(random.Random(restart).choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
                for process in (first, second):
                    assert "Traceback" not in process.communicate(timeout=60)[1]
        # A run may have been too short for the faults of one file.
        for _ in range(3):
            status, output, errors = upload(url, folder)
            if "not" not in output.splitlines()[0]:
                break
    assert status == 1, output + errors
    found = rows(folder)
    assert set(found) == good | bad
    assert {name for name, row in found.items() if row["status"] == "success"} == good
    assert all(found[name]["error"] for name in bad)
    assert sorted(listed(api.url)) == sorted(Path(name).name for name in good)
    assert min(paths["/api/images"], paths["/api/uploads"]) > FILES // 5

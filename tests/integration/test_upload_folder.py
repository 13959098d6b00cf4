"""The command that uploads a folder, as a user runs it."""

import csv
import gc
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import requests
from PIL import Image

from tests.contract.client import Client
from tests.pictures import encode
from tools.demo_model import scenes
from tools.local import server

FILE_COUNT = 12


@pytest.fixture(scope="module")
def api() -> Iterator[Client]:
    """An API for these tests alone."""
    with server.run() as running:
        yield Client(running.url)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes in two folders, one of them twice, a file of 5 MB, a damaged file, and files of other kinds."""
    path, rng = tmp_path_factory.mktemp("pictures"), Random(12)
    (path / "more").mkdir()
    drawn = [encode(scenes.draw(scenes.random_scene(rng))) for _ in range(FILE_COUNT)]
    for number, content in enumerate(drawn):
        (path / ("more" if number % 2 else ".") / f"{number}.PNG").write_bytes(content)
    (path / "again.png").write_bytes(drawn[0])
    (path / "large.png").write_bytes(encode(Image.frombytes("RGB", (1300, 1300), rng.randbytes(1300 * 1300 * 3))))
    (path / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (path / "notes.txt").write_text("not a picture")
    return path


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Let the command notice SIGINT. A shell ignores it in background jobs, and their children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(api: Client, folder: Path, result: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "clients.upload_folder", api.url, str(folder), "--csv", str(result), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def lines(journal: Path) -> int:
    return journal.read_text().count("\n") if journal.exists() else 0


def listed(api: Client) -> list[str]:
    names, url = [], f"{api.url}/api/images?limit=100"
    while url:
        page = requests.get(url, timeout=60).json()
        names += [image["data"]["original_name"] for image in page.get("content", {}).values()]
        url = requests.compat.urljoin(url, page["next"]) if "next" in page else ""
    return names


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_interrupted_upload_goes_on_without_duplicates(api: Client, folder: Path, tmp_path: Path) -> None:
    result, journal = tmp_path / "captions.csv", tmp_path / "captions.journal"
    for interruption, status in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        steps = lines(journal)
        with start(api, folder, result, "--workers", "1") as process:
            while process.poll() is None and lines(journal) < steps + 3:
                time.sleep(0.01)
            process.send_signal(interruption)
            ended = process.communicate(timeout=60)
        assert process.returncode == status, ended
    # The local API does not close the parts of a form that was cut. The garbage collector does.
    gc.collect()
    with start(api, folder, result) as process:
        output, _ = process.communicate(timeout=120)
    # The damaged file is a failure.
    assert process.returncode == 1
    assert f"success: {FILE_COUNT + 2}  failure: 1" in output.decode()
    assert "damaged.jpg  failure: The image is damaged or incomplete" in output.decode()
    with result.open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == FILE_COUNT + 3
    assert rows["0.PNG"]["image_id"] == rows["again.png"]["image_id"]
    assert all(row["caption"] for row in rows.values() if row["status"] == "success")
    images = listed(api)
    assert len(images) == FILE_COUNT + 1

    # Another run finds nothing to do.
    with start(api, folder, result) as process:
        process.communicate(timeout=120)
    assert listed(api) == images


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "clients.upload_folder", "http://127.0.0.1:1", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "contains no .jpg, .jpeg or .png" in done.stderr

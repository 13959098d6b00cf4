"""The command that uploads a folder, as a user runs it, for the tests of it."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urljoin

import requests

from tests.pictures import encode
from tools.demo_model import scenes
from tools.template import ROOT


def scene(number: int) -> bytes:
    """Return a PNG that is like no other."""
    return encode(scenes.draw(scenes.random_scene(Random(number))))


@contextmanager
def started(url: str, folder: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command in the parent of the folder, where its results will be."""
    command = [sys.executable, "-m", "clients.upload_folder", url, str(folder), *options]
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    with subprocess.Popen(
        command, cwd=folder.parent, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def upload(url: str, folder: Path, *options: str, **environment: str) -> tuple[int, str, str]:
    """Run the command. Return its exit status, and what it printed on stdout and stderr."""
    with started(url, folder, *options, **environment) as process:
        output, errors = process.communicate(timeout=300)
    assert "Traceback" not in errors
    return process.returncode, output, errors


def rows(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of captions.csv by file name."""
    with (folder.parent / "captions.csv").open(encoding="utf-8-sig") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def remembered(folder: Path) -> int:
    """Return how many lines the journal has about files."""
    journal = folder.parent / "captions.journal"
    return journal.read_text().count('"sha256"') if journal.exists() else 0


def listed(url: str) -> list[str]:
    """Return the names of all images of the API."""
    names, page = [], f"{url}/api/images?limit=100"
    while page:
        found = requests.get(page, timeout=60).json()
        names += [image["data"]["original_name"] for image in found.get("content", {}).values()]
        page = urljoin(page, found["next"]) if "next" in found else ""
    return names

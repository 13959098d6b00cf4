"""Finds the Python version of the functions, which `sam build` looks for on PATH."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

NAME = "python3.13"
_QUESTION = "import sys, pip; print(sys.executable)"


def folder() -> Path | None:
    """Return the folder of a python3.13 that has pip, or None.

    LAMBDA_PYTHON names one. Without it, it is the one on PATH or one that pyenv has installed, even if pyenv selects
    another version: its shim on PATH then fails.
    """
    for candidate in _candidates():
        asked = subprocess.run([candidate, "-c", _QUESTION], check=False, capture_output=True, text=True)
        found = Path(asked.stdout.strip()).parent
        if asked.returncode == 0 and (found / NAME).exists():
            return found
    return None


def _candidates() -> Iterator[str | Path]:
    for name in (os.environ.get("LAMBDA_PYTHON"), NAME):
        if name and (found := shutil.which(name)):
            yield found
    yield from sorted(Path.home().glob(f".pyenv/versions/3.13.*/bin/{NAME}"), reverse=True)

"""Prepare a folder for Lambda: `python pack.py FOLDER`. Run it with the Python version of the functions.

Removes files that no function uses, compiles the Python files, and gives every file the same time. Uses the standard
library alone, because AWS's base image has neither `find` nor our packages.
"""

import compileall
import json
import os
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

# The AWS services that the functions call.
_SERVICES = ("codedeploy", "dynamodb", "lambda", "s3", "sqs")
# 1980-01-01, the earliest time that a zip file can have. With equal times, equal content has an equal digest.
_FILE_TIME = 315532800


def pack(folder: Path) -> None:
    """Remove unused files from `folder`, compile the rest, and set its times. Exits if a file cannot be compiled."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for name in ("tests", "__pycache__"):
        for found in [path for path in folder.rglob(name) if path.is_dir()]:
            shutil.rmtree(found, ignore_errors=True)
    data = folder / "botocore" / "data"
    if data.exists():
        _remove_other_services(data)
    # Lambda's file system is read-only. Files without bytecode would be compiled at every cold start.
    if not compileall.compile_dir(folder, quiet=1, workers=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH):
        sys.exit(f"error: not all of {folder} can be compiled")
    for path in [*folder.rglob("*"), folder]:
        # Lambda runs the code as another user.
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_FILE_TIME, _FILE_TIME))


def _remove_other_services(data: Path) -> None:
    """Remove the data of other services. That is 20 MB to load, and 1 MB to parse (10 ms) at each cold start."""
    for service in [found for found in data.iterdir() if found.is_dir() and found.name not in _SERVICES]:
        shutil.rmtree(service)
    file = data / "endpoints.json"
    endpoints = json.loads(file.read_bytes())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: partition["services"][name] for name in _SERVICES}
    file.write_text(json.dumps(endpoints))


if __name__ == "__main__":
    pack(Path(sys.argv[1]))

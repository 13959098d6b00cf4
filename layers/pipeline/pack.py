"""Make a folder of installed packages ready for Lambda: `python pack.py FOLDER`, with the functions' own Python.

It needs nothing but Python: AWS's base image has no `find`.
"""

import compileall
import json
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

# The services that the functions call.
_SERVICES = ("dynamodb", "s3")


def pack(folder: Path) -> None:
    """Remove what no function uses and compile the rest."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for tests in [found for found in folder.rglob("tests") if found.is_dir()]:
        shutil.rmtree(tests, ignore_errors=True)
    _forget_other_services(folder / "botocore" / "data")
    # Lambda's file system is read-only: what is not compiled now is compiled at every cold start.
    if not compileall.compile_dir(folder, quiet=1, workers=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH):
        sys.exit(f"error: not all of {folder} can be compiled")


def _forget_other_services(data: Path) -> None:
    """Remove 20 MB, which a cold start would fetch, and a megabyte, which it would parse in 10 ms."""
    for service in [found for found in data.iterdir() if found.is_dir() and found.name not in _SERVICES]:
        shutil.rmtree(service)
    file = data / "endpoints.json"
    endpoints = json.loads(file.read_bytes())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: partition["services"][name] for name in _SERVICES}
    file.write_text(json.dumps(endpoints))


if __name__ == "__main__":
    pack(Path(sys.argv[1]))

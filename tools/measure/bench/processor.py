"""The processor of this machine, and how a measured process sees it."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

from tools.measure.bench.processes import MeasurementError
from tools.template import ROOT

# What a caption can use, in the names of Linux. Lambda promises the first.
_EXTENSIONS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8")


def only_avx2() -> dict[str, str]:
    """Return the environment variables that hide from a process what this processor can do beyond AVX2.

    Empty if there is nothing to hide, or if it cannot be hidden: that needs a processor of Intel, and a C compiler.
    Raises MeasurementError.
    """
    compiler = shutil.which("cc")
    if not compiler or extensions({}) == ["avx2"] or "cpuid_fault" not in _flags():
        return {}
    library = ROOT / "build" / "avx2.so"
    library.parent.mkdir(exist_ok=True)
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(Path(__file__).with_name("avx2.c"))]
    if subprocess.run(command, check=False).returncode:
        raise MeasurementError(f"{compiler} cannot compile {command[-1]}")
    if set(str(library)) & {" ", ":"}:
        raise MeasurementError(f"the path of a preloaded library must have no space and no colon: {library}")
    return {"LD_PRELOAD": str(library)}


def extensions(variables: dict[str, str]) -> list[str]:
    """Return which of the extensions that matter a process with these environment variables sees."""
    present = [name for name in _EXTENSIONS if name in _flags()]
    return present[:1] if variables else present


def name() -> str:
    """Return the name that the processor gives itself."""
    return _cpuinfo()["model name"]


def _flags() -> list[str]:
    # A processor of ARM has none of that name.
    return _cpuinfo().get("flags", "").split()


@cache
def _cpuinfo() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}

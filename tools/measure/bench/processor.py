"""The processor of this machine, and how a measured process sees it."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

from tools.template import ROOT

# What a caption can use, in the names of Linux. Lambda promises the first.
_EXTENSIONS = ("avx2", "avx512f", "avx512_vnni", "amx_int8")


def only_avx2() -> dict[str, str]:
    """Return the environment variables that hide from a process what this processor can do beyond AVX2.

    Empty if there is nothing to hide, or if it cannot be hidden: that needs a processor of Intel, and a C compiler.
    """
    compiler = shutil.which("cc")
    flags = _cpuinfo()["flags"].split()
    if not compiler or not {"avx512f", "cpuid_fault"} <= set(flags):
        return {}
    library = ROOT / "build" / "avx2.so"
    library.parent.mkdir(exist_ok=True)
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(Path(__file__).with_name("avx2.c"))]
    subprocess.run(command, check=True)
    return {"LD_PRELOAD": str(library)}


def extensions(variables: dict[str, str]) -> list[str]:
    """Return which of the extensions that matter a process with these environment variables sees."""
    present = [name for name in _EXTENSIONS if name in _cpuinfo()["flags"].split()]
    return present[:1] if variables else present


def name() -> str:
    """Return the name that the processor gives itself."""
    return _cpuinfo()["model name"]


@cache
def _cpuinfo() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}

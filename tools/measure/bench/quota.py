"""Limits the CPU time of a measured process as Lambda does, with a control group of Linux."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.measure.bench.processes import MeasurementError
from tools.measure.cost.inputs import MEGABYTES_PER_CPU

_PERIOD_MICROSECONDS = 100_000
_ROOT = Path("/sys/fs/cgroup")


@contextmanager
def limit(megabytes: int) -> Iterator[list[str]]:
    """Yield the beginning of a command that runs the rest with the CPU time of a function with this memory.

    Raises MeasurementError without control groups, or without the right to make one.
    """
    microseconds = int(_PERIOD_MICROSECONDS * megabytes / MEGABYTES_PER_CPU)
    # Only version 1 of control groups has a folder for each resource.
    is_version_1 = (_ROOT / "cpu").is_dir()
    group = (_ROOT / "cpu" if is_version_1 else _ROOT) / f"bench-{os.getpid()}-{megabytes}"
    try:
        group.mkdir()
        if is_version_1:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(microseconds))
        else:
            (group / "cpu.max").write_text(f"{microseconds} {_PERIOD_MICROSECONDS}")
    except OSError as error:
        raise MeasurementError(f"the CPU time of a process cannot be limited here: {error}") from error
    try:
        yield ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(group)]
    finally:
        group.rmdir()

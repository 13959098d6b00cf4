"""Processes that are measured: some write captions on command, others run once and print figures."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tools.template import ROOT

# What the measured processes get in addition to the environment; see processor.py.
VARIABLES: dict[str, str] = {}
# The baseline and the exporter need torch. Our engine runs in an environment without it.
WITH_TORCH = str(ROOT / ".venv-model" / "bin" / "python")
WITHOUT_TORCH = str(ROOT / ".venv" / "bin" / "python")


class MeasurementError(Exception):
    """A measured process failed. The message contains its last output."""


@dataclass(frozen=True)
class Process:
    """A process that runs tools.measure.bench.tasks, and the time when it was started."""

    popen: "subprocess.Popen[str]"
    started_at: float

    def ask(self, what: str, count: int) -> None:
        assert self.popen.stdin
        print(what, count, file=self.popen.stdin, flush=True)

    def response(self) -> dict[str, Any]:
        """Wait for the next line of figures and return them. Raises MeasurementError."""
        assert self.popen.stdout
        line = self.popen.stdout.readline()
        if not line:
            raise MeasurementError(f"{self.popen.args!r} ended with status {self.popen.wait()}")
        figures: dict[str, Any] = json.loads(line)
        return figures


@contextmanager
def started(command: list[str]) -> Iterator[Process]:
    """Start `command`, and end it when the block ends."""
    started_at = time.time()
    popen = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Process(popen, started_at)
    finally:
        popen.kill()
        popen.communicate()


def figures_of(python: str, module: str, *arguments: str) -> dict[str, float]:
    """Run a module to its end and return the figures that it prints. Raises MeasurementError."""
    figures: dict[str, float] = json.loads(run(python, module, *arguments).splitlines()[-1])
    return figures


def run(python: str, module: str, *arguments: str) -> str:
    """Run a module to its end and return what it prints. Raises MeasurementError."""
    ended = subprocess.run(
        [python, "-m", module, *arguments], cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise MeasurementError(f"{module} failed: {ended.stderr[-2000:]}")
    return ended.stdout


def _environment() -> dict[str, str]:
    """Return the environment without variables that change the threads, clients or output of a process."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OMP_", "MKL_", "ORT_"))}
    return own | VARIABLES | {"POWERTOOLS_LOG_LEVEL": "ERROR", "POWERTOOLS_METRICS_DISABLED": "true"}

"""Commands that a signal stops."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.template import ROOT

# The command sends the signal to itself inside `exec`, and again while it cleans up.
_COMMAND = """
import os, signal, sys
from tools import stopping

def clean_up():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    print("clean")

try:
    with stopping.by_signals():
        try:
            exec("os.kill(os.getpid(), signal.{name})")
        finally:
            clean_up()
except stopping.Stopped:
    sys.exit(130)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_command_cleans_up_once_and_returns_its_status(name: str, tmp_path: Path) -> None:
    (tmp_path / "stopped.py").write_text(_COMMAND.format(name=name))
    # All commands of the project run with -m. Only with -m, a KeyboardInterrupt inside exec makes Python end by SIGINT.
    run = subprocess.run(
        [sys.executable, "-m", "stopped"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (130, "clean\n", "")

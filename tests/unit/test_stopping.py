"""Commands that a signal stops."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clients.stopping import StopRequest, on_request
from tools import stopping
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_has_the_status_that_shells_expect(number: int) -> None:
    with pytest.raises(stopping.Stopped) as stopped, stopping.by_signals():
        os.kill(os.getpid(), number)
    assert stopped.value.status == 128 + number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_stop_interrupts_nothing(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)
    with on_request() as stop:
        assert (stop.is_set, stop.status, stop.wait(0)) == (False, None, False)
        os.kill(os.getpid(), number)
    assert (stop.is_set, stop.status) == (True, 128 + number)
    assert signal.getsignal(number) is before
    assert "stopping when the requests that are running have ended" in capfd.readouterr().err


def test_a_second_signal_ends_the_process_at_once() -> None:
    script = (
        "import os, signal, time; from clients.stopping import on_request\n"
        "with on_request():\n for number in (15, 2): os.kill(os.getpid(), number)\n time.sleep(60)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False).returncode == 143


def test_a_request_ends_a_pause() -> None:
    stop = StopRequest()
    start = time.monotonic()
    threading.Timer(0.1, stop.set).start()
    assert stop.wait(60)
    assert time.monotonic() - start < 10

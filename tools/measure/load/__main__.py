"""Load the API on this machine with more and more clients, and draw what happens: `python -m tools.measure.load`.

It starts `make serve` or, with `containers`, `make local`, and Locust sends requests to it for a bounded time.
"""

import argparse
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import OK
from pathlib import Path

import requests
from requests.exceptions import ConnectionError as RefusedError
from tqdm import tqdm

from tools.measure.load import chart, measuring
from tools.measure.load.measuring import Step

_FOLDER = Path("build/load")
_COMMANDS = {
    "serve": ["tools.local.serve"],
    "containers": ["tools.containers", "local"],
}
_CLIENTS = (1, 2, 4, 8, 16)
_START_SECONDS = 900


def main(arguments: Sequence[str] | None = None) -> None:
    """Print and draw what the clients of each step saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=_COMMANDS, help="what to load")
    target = parser.parse_args(arguments).target
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with _running(target) as url:
        measuring.run(url, 1, _FOLDER / "warm-up")
        steps = [
            measuring.run(url, clients, _FOLDER / f"{target}-{clients}") for clients in tqdm(_CLIENTS, unit="step")
        ]
    print(_table(steps))
    path = Path(f"docs/load-{target}.png")
    chart.draw(steps, path)
    print(f"\n{path}")


@contextmanager
def _running(target: str) -> Iterator[str]:
    """Run the API until the block ends. Yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log_file = _FOLDER / f"{target}.log"
    command = [sys.executable, "-m", *_COMMANDS[target], "--port", str(port)]
    with log_file.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait(f"{url}/api/stats", process, log_file)
            yield url
        finally:
            process.send_signal(signal.SIGINT)


def _wait(url: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=60).status_code == OK:
                return
        except RefusedError:
            time.sleep(0.5)
    raise SystemExit(f"error: the API did not start; see {log_file}")


def _table(steps: Sequence[Step]) -> str:
    """Return a table in Markdown. In the last column, Little's law gives the clients from rate and mean time."""
    lines = [
        "| clients | requests/s | uploads/s | upload p50 | p95 | list p50 | p95 | failures | rate x time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {step.clients} | {step.requests:.1f} | {step.uploads:.2f} | {step.upload_p50:.2f} s "
        f"| {step.upload_p95:.2f} s | {step.list_p50:.2f} s | {step.list_p95:.2f} s | {step.failures} "
        f"| {step.requests * step.mean:.1f} |"
        for step in steps
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

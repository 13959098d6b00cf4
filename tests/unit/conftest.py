from collections.abc import Callable, Iterator
from functools import cache
from io import StringIO
from typing import Any
from unittest.mock import create_autospec

import boto3
import pytest

from image_pipeline import settings
from image_pipeline.models import ThumbnailSize
from image_pipeline.observability import logger
from image_pipeline.storage import table
from image_processing import pictures
from image_processing.captions import Captioner
from tests.in_process import aws, new_clients, quiet, services_read_once, table_definition, variables
from tests.oidc_issuer import issuer
from tests.permissions import refused, watching
from tests.transformed import core

__all__ = [
    "aws",
    "issuer",
    "new_clients",
    "quiet",
    "services_read_once",
    "table_definition",
    "variables",
]

Stored = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def within_the_roles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check in each test with a stand-in for AWS that the functions only do what their roles allow."""
    if "aws" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("aws")
    with watching(monkeypatch) as record:
        yield
    if done := record.of_the_stack():
        assert refused(core(), done) == set()


@pytest.fixture
def upload_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the only variable that reading a form needs. The stand-in for AWS takes more time."""
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "4500000")


@pytest.fixture
def up_to_medium(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode as if there were no larger thumbnail: the test names the size to which an image is reduced."""
    monkeypatch.setattr(pictures, "ThumbnailSize", [ThumbnailSize.SMALL, ThumbnailSize.MEDIUM])


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """The log output of the functions during the test."""
    stream = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return stream


@pytest.fixture
def captioned(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A mock with each call of `Captioner.caption`. The images get their captions."""
    recorded = create_autospec(Captioner.caption, side_effect=Captioner.caption)
    monkeypatch.setattr(Captioner, "caption", recorded)
    return recorded


@cache
def _client(service: str) -> Any:
    """Return a client without the deadline of the functions' clients. To create one takes 0.1 s."""
    return boto3.client(service)  # type: ignore[call-overload] # mypy wants a literal


@pytest.fixture
def table_items() -> Callable[[str], Stored]:
    """Return a function that reads all items whose partition key starts with a prefix."""

    def read(prefix: str) -> Stored:
        found = _client("dynamodb").scan(TableName=settings.table_name())["Items"]
        return [item for item in map(table.deserialize, found) if str(item["pk"]).startswith(prefix)]

    return read


@pytest.fixture
def bucket_keys() -> Callable[[], list[str]]:
    """Return a function that lists the keys in the bucket."""

    def read() -> list[str]:
        found = _client("s3").list_objects_v2(Bucket=settings.bucket_name())
        return [item["Key"] for item in found.get("Contents", [])]

    return read

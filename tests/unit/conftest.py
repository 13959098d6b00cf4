from collections.abc import Iterator
from io import StringIO
from typing import Any
from unittest.mock import create_autospec

import pytest

from image_pipeline.observability import logger
from image_processing.captions import Captioner
from tests.deployed_stack import finding_stack, new_stack_clients, stack
from tests.in_process import (
    aws,
    new_clients,
    one_request_at_a_time,
    quiet,
    services_read_once,
    table_definition,
    variables,
)
from tests.oidc_issuer import issuer
from tests.permissions import refused, watching
from tests.transformed import core

__all__ = [
    "aws",
    "finding_stack",
    "issuer",
    "new_clients",
    "new_stack_clients",
    "one_request_at_a_time",
    "quiet",
    "services_read_once",
    "stack",
    "table_definition",
    "variables",
]


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
    """Set the only variable that reading a form needs. This is faster than the fixture `aws`."""
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "4500000")


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

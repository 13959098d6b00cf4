"""Fixtures that run handlers and storage on moto, in this process. No socket is opened.

The conftest.py of each folder imports all of them, because they use each other.
"""

import os
from collections.abc import Iterator
from functools import cache, partial
from threading import RLock
from typing import Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

from image_pipeline.observability import logger
from image_pipeline.storage import clients
from tools import template
from tools.local import resources
from tools.local.server import DEMO_MODEL, forget_clients


@pytest.fixture(scope="session", autouse=True)
def services_read_once() -> Iterator[None]:
    """Keep the descriptions of AWS's services, from which botocore makes clients. Reading one takes up to 0.1 s."""
    load = cache(partial(JSONFileLoader.load_file, JSONFileLoader()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_request_at_a_time() -> Iterator[None]:
    """Let moto do one request after another. It copies its tables while other threads change them, and then fails."""
    process, lock = BotocoreStubber.process_request, RLock()

    def in_turn(stubber: BotocoreStubber, request: Any) -> Any:
        with lock:
            return process(stubber, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BotocoreStubber, "process_request", in_turn)
        yield


@pytest.fixture(scope="session")
def variables() -> dict[str, str]:
    """The environment variables of the functions. They take a tenth of a second, so once is enough."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        described = template.read()
        return template.variables(described, resources.create(described, boto3.client))


@pytest.fixture(scope="session")
def table_definition() -> dict[str, Any]:
    """The arguments of DynamoDB's CreateTable for the table of template.yaml."""
    return template.table_definition(template.read())


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], table_definition: dict[str, Any]) -> Iterator[None]:
    """Give each test an empty bucket, an empty table, and the environment variables of the functions."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with mock_aws():
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MODEL_PATH", str(DEMO_MODEL))
        for name in ("BUCKET_NAME", "UPLOADS_BUCKET"):
            clients.s3().create_bucket(Bucket=variables[name])
        for name in ("LEFTOVERS_QUEUE_URL", "UPLOADS_QUEUE_URL"):
            clients.sqs().create_queue(QueueName=variables[name].rpartition("/")[2])
        clients.dynamodb().create_table(TableName=variables["TABLE_NAME"], **table_definition)
        yield


@pytest.fixture
def new_clients(aws: None) -> Iterator[None]:  # noqa: ARG001 - its environment is needed first
    """Make new AWS clients, for a test that changes clients or their settings.

    Other tests share clients to save time.
    """
    forget_clients()
    yield
    forget_clients()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Turn off logs and metrics. Thousands of expected lines would take time."""
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    level = logger.log_level
    logger.setLevel("CRITICAL")
    yield
    logger.setLevel(level)

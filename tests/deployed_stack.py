"""A deployed stack on moto, for the tests of the commands that work on one. The conftest.py imports the fixtures."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, EndpointConnectionError

from image_pipeline import settings
from image_pipeline.storage import clients
from tools.stack import deployed, messages, moves

STACK = "a-stack"
_CREDENTIALS = {"ApiAuth": "API_KEY", "JwtIssuer": "https://issuer.example", "OwnerClaim": "sub"}
_QUEUES = (
    "UploadsQueue",
    "UploadsDeadLetterQueue",
    "LeftoversQueue",
    "LeftoversDeadLetterQueue",
    "StreamDeadLetterQueue",
)
Call = Callable[[str, dict[str, Any]], Any]


@pytest.fixture
def stack(aws: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:  # noqa: ARG001 - it is needed first
    """A stack with the outputs of template.yaml. It has its own queues, and the buckets and the table of the tests.

    Returns the URLs of the queues. Commands do not pause between tries.
    """
    monkeypatch.setattr(deployed, "_MAX_PAUSE_SECONDS", 0)
    monkeypatch.setattr(messages, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(moves, "_POLL_SECONDS", 0)
    values: dict[str, Any] = {
        "TableName": settings.table_name(),
        "BucketName": settings.bucket_name(),
        "UploadsBucketName": settings.uploads_bucket(),
        "UploadsQueueUrl": {"Ref": "UploadsQueue"},
    }
    template = {
        "Parameters": {
            "MaxDirectUploadBytes": {"Type": "Number", "Default": 1_000_000},
            **{name: {"Type": "String", "Default": value} for name, value in _CREDENTIALS.items()},
        },
        "Resources": {name: {"Type": "AWS::SQS::Queue"} for name in _QUEUES},
        "Outputs": {name: {"Value": value} for name, value in values.items()},
    }
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(template))
    found = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}


@pytest.fixture
def finding_stack(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - needed first
    """The stack has Duplicates=find."""
    parameters = deployed.parameters(STACK) | {"Duplicates": "find"}
    monkeypatch.setattr(deployed, "parameters", lambda _: parameters)
    monkeypatch.setenv("DUPLICATES", "find")


@pytest.fixture
def new_stack_clients(stack: dict[str, str], new_clients: None) -> Iterator[None]:  # noqa: ARG001 - needed first
    """Make new AWS clients, for a test that changes their settings."""
    deployed.forget_clients()
    yield
    deployed.forget_clients()


def bodies(url: str) -> list[str]:
    """Return the visible messages of a queue, at most 10."""
    found = clients.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in found.get("Messages", [])]


def all_bodies(url: str) -> list[str]:
    """Take all messages of a queue."""
    taken = list[str]()
    while found := clients.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        taken += [message["Body"] for message in found]
    return taken


def error(
    code: str, operation: str = "GetObject", status: int = 400, retries: int = 0, message: str = ""
) -> ClientError:
    """Return an error as botocore raises it."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": retries},  # type: ignore[typeddict-item]
        },
        operation,
    )


@contextmanager
def instead(answer: Callable[[Call, str, dict[str, Any]], Any]) -> Iterator[None]:
    """Let `answer` decide on each call to AWS. It gets what makes the call, the operation and the arguments."""
    make = vars(BaseClient)["_make_api_call"]

    def call(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        return answer(lambda name, values: make(client, name, values), operation, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", call)
        yield


@contextmanager
def dying(at: int, *, has_effect: bool) -> Iterator[None]:
    """Let nothing reach AWS from call `at` (from 1) on. With `has_effect`, only the reply of this call is lost."""
    calls = itertools.count(1)

    def answer(call: Call, operation: str, arguments: dict[str, Any]) -> Any:
        number = next(calls)
        response = call(operation, arguments) if number < at + has_effect else None
        if number >= at:
            raise EndpointConnectionError(endpoint_url="https://dynamodb.example")
        return response

    with instead(answer):
        yield


@contextmanager
def failing(broken: Callable[[str, dict[str, Any]], BaseException | None]) -> Iterator[list[str]]:
    """Raise in a call to AWS what `broken` returns for its operation and arguments. Yields the operations so far."""
    operations = list[str]()

    def answer(call: Call, operation: str, arguments: dict[str, Any]) -> Any:
        operations.append(operation)
        if problem := broken(operation, arguments):
            raise problem
        return call(operation, arguments)

    with instead(answer):
        yield operations

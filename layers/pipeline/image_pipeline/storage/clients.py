"""The boto3 clients. Each is made at its first use and kept until the process ends."""

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from image_pipeline import deadline
from image_pipeline.errors import DeadlineError

if TYPE_CHECKING:
    from mypy_boto3_codedeploy import CodeDeployClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

# A call takes at most this long, with all its retries. botocore's own timeouts are 60 s per try.
MAX_CALL_SECONDS = 10
_TIMEOUTS = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 3},
    # The commands for a stack use so many threads.
    max_pool_connections=64,
)

# A call of a function takes at most this long. There is no retry, because it would call the function twice.
MAX_INVOCATION_SECONDS = 65
_CALLS_OF_FUNCTIONS = Config(
    connect_timeout=5,
    read_timeout=MAX_INVOCATION_SECONDS - 5,
    retries={"mode": "standard", "total_max_attempts": 1},
)

# boto3 signs presigned forms with an older version otherwise.
_SIGNATURE_VERSION = Config(signature_version="s3v4")


@cache
def session() -> boto3.Session:
    """Return the boto3 session with the credentials and the region of this process."""
    return boto3.Session()


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the DynamoDB client. Its calls raise DeadlineError when too little time is left."""
    client = session().client("dynamodb", config=_TIMEOUTS)
    client.meta.events.register("before-call", _refuse_late_call)
    return client


@cache
def s3() -> "S3Client":
    """Return the S3 client. Its calls raise DeadlineError when too little time is left."""
    client = session().client("s3", config=_TIMEOUTS.merge(_SIGNATURE_VERSION))
    client.meta.events.register("before-call", _refuse_late_call)
    return client


@cache
def sqs() -> "SQSClient":
    """Return the SQS client. Its calls raise DeadlineError when too little time is left."""
    client = session().client("sqs", config=_TIMEOUTS)
    client.meta.events.register("before-call", _refuse_late_call)
    return client


@cache
def aws_lambda() -> "LambdaClient":
    """Return the Lambda client. A call of a function takes at most MAX_INVOCATION_SECONDS."""
    return session().client("lambda", config=_CALLS_OF_FUNCTIONS)


@cache
def codedeploy() -> "CodeDeployClient":
    """Return the CodeDeploy client. Its calls take at most MAX_CALL_SECONDS, whatever time is left."""
    return session().client("codedeploy", config=_TIMEOUTS)


def _refuse_late_call(**_: object) -> None:
    # A call that ends after the deadline leaves no time for a response. The client gets a 503 now.
    if deadline.remaining() < MAX_CALL_SECONDS:
        raise DeadlineError


def prepare(*steps: Callable[[], object]) -> None:
    """Make clients, and take other steps, before the first event. Does nothing outside Lambda.

    Init has a whole vCPU. An invocation has a share that depends on the memory: 0.3 vCPU at 512 MB.
    """
    if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:
        for step in steps:
            step()

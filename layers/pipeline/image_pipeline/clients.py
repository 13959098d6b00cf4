"""The AWS clients, made on first use and kept for the life of the process."""

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from image_pipeline import deadline
from image_pipeline.errors import DeadlineError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

# All tries together must end before a function's own timeout; botocore's defaults wait 60 s each.
LONGEST_CALL_SECONDS = 10
_TIMEOUTS = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3})


@cache
def session() -> boto3.Session:
    """Return what knows the credentials and the region of this process."""
    return boto3.Session()


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the client of the records' table."""
    client = session().client("dynamodb", config=_TIMEOUTS)
    client.meta.events.register("before-call", _refuse_late_call)
    return client


@cache
def s3() -> "S3Client":
    """Return the client of the thumbnails' bucket."""
    return session().client("s3", config=_TIMEOUTS)


def _refuse_late_call(**_: object) -> None:
    # A call that may outlive the function is not begun: the client is told so while there is time.
    if deadline.remaining() < LONGEST_CALL_SECONDS:
        raise DeadlineError


def prepare(*getters: Callable[[], object]) -> None:
    """Make clients before the first event, on Lambda only.

    Init has a whole processor; an invocation has what its memory buys, 0.3 at 512 MB.
    """
    if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:
        for getter in getters:
            getter()

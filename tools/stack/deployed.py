"""A deployed stack, for the commands that work on one."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import boto3

from image_pipeline.models import ImageRecord
from image_pipeline.storage import clients, records

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectTypeDef
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_PAGE_SIZE = 100
# The largest batch that SQS accepts.
_MAX_BATCH = 10


class MessageRefusedError(Exception):
    """SQS refused a message. The messages before it are sent."""


def outputs(name: str) -> dict[str, str]:
    """Return the outputs of a stack, by name. Raises ClientError if there is no such stack."""
    (described,) = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def resource(name: str, logical_id: str) -> str:
    """Return the physical id of a resource of a stack. That of a queue is its URL."""
    described = boto3.client("cloudformation").describe_stack_resource(StackName=name, LogicalResourceId=logical_id)
    return described["StackResourceDetail"]["PhysicalResourceId"]


def images() -> Iterator[ImageRecord]:
    """Yield all finished images, newest first. TABLE_NAME must be set."""
    page = records.newest(_PAGE_SIZE)
    yield from page.records
    while page.end:
        page = records.newest(_PAGE_SIZE, page.end)
        yield from page.records


def objects(bucket: str, prefix: str = "") -> "Iterator[ObjectTypeDef]":
    """Yield the objects of a bucket, as boto3 lists them."""
    for page in clients.s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def send(url: str, bodies: Sequence[str]) -> None:
    """Send messages to a queue. Raises MessageRefusedError, and the errors of botocore."""
    for start in range(0, len(bodies), _MAX_BATCH):
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies[start : start + _MAX_BATCH])
        ]
        response = clients.sqs().send_message_batch(QueueUrl=url, Entries=entries)
        if response.get("Failed"):
            raise MessageRefusedError(response["Failed"][0].get("Message", response["Failed"][0]["Code"]))

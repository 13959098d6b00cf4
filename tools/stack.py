"""A deployed stack, for the commands that work on one."""

from collections.abc import Iterator

import boto3

from image_pipeline.models import ImageRecord
from image_pipeline.storage import records

_PAGE = 100


def outputs(name: str) -> dict[str, str]:
    """Return the outputs of a stack."""
    (described,) = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def images() -> Iterator[ImageRecord]:
    """Yield all finished images, newest first. TABLE_NAME must be set."""
    page = records.newest(_PAGE)
    yield from page.records
    while page.end:
        page = records.newest(_PAGE, page.end)
        yield from page.records

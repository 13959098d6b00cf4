"""What the functions have stored in the table and in the buckets of the fixture `aws`."""

from functools import cache
from typing import Any

import boto3

from image_pipeline import settings
from image_pipeline.storage import table


@cache
def _client(service: str) -> Any:
    """Return a client without the deadline of the functions' clients. Creating one takes 0.1 s."""
    return boto3.client(service)  # type: ignore[call-overload] # mypy wants a literal


def table_items(prefix: str) -> list[dict[str, Any]]:
    """Return all items whose partition key starts with a prefix."""
    found = _client("dynamodb").scan(TableName=settings.table_name())["Items"]
    return [item for item in map(table.deserialize, found) if str(item["pk"]).startswith(prefix)]


def bucket_keys(bucket: str | None = None) -> list[str]:
    """Return the keys in a bucket, by default the bucket for thumbnails."""
    found = _client("s3").list_objects_v2(Bucket=bucket or settings.bucket_name())
    return [item["Key"] for item in found.get("Contents", [])]

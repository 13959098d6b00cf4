"""The AWS clients, made on first use and kept for the life of the process."""

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

# All tries together must end before a function's own timeout; botocore's defaults wait 60 s each.
_TIMEOUTS = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3})


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the client of the records' table."""
    return boto3.client("dynamodb", config=_TIMEOUTS)


@cache
def s3() -> "S3Client":
    """Return the client of the thumbnails' bucket, which signs URLs with SigV4."""
    # By default boto3 presigns with the old SigV2, and for the global endpoint, which redirects to the
    # bucket's region, where the signed host no longer fits.
    signing = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    return boto3.client("s3", config=_TIMEOUTS.merge(signing))

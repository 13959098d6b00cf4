"""Thumbnails in S3. No other module calls S3."""

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.models import ThumbnailSize
from image_pipeline.storage import keys
from image_pipeline.storage.clients import s3
from image_pipeline.storage.presigning import presign

CONTENT_TYPES = {"jpg": "image/jpeg", "png": "image/png"}


def put(key: str, content: bytes) -> None:
    """Store a thumbnail. Raises StorageError."""
    try:
        s3().put_object(Bucket=settings.bucket_name(), Key=key, Body=content, ContentType=_content_type(key))
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error


def get(key: str) -> bytes:
    """Return a thumbnail. Raises StorageError."""
    try:
        return s3().get_object(Bucket=settings.bucket_name(), Key=key)["Body"].read()
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error


def delete_all(image_id: str) -> None:
    """Delete every thumbnail that an image may have. Raises StorageError."""
    possible = [keys.thumbnail(image_id, size, extension) for size in ThumbnailSize for extension in CONTENT_TYPES]
    try:
        response = s3().delete_objects(
            Bucket=settings.bucket_name(), Delete={"Objects": [{"Key": key} for key in possible]}
        )
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error
    if response.get("Errors"):
        raise StorageError


def presigned_url(key: str) -> str:
    """Return a URL from which anybody can GET the thumbnail until the URL expires. S3 is not called."""
    url = f"{settings.thumbnails_url()}/{key}"
    return presign(url, {"response-content-type": _content_type(key)}, settings.url_expiry_seconds())


def _content_type(key: str) -> str:
    return CONTENT_TYPES[key.rpartition(".")[2]]

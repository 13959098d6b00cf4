"""Thumbnails in S3: the only module that talks to the bucket."""

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import settings
from image_pipeline.clients import s3
from image_pipeline.errors import StorageError
from image_pipeline.models import ThumbnailSize
from image_pipeline.presigning import presign

CONTENT_TYPES = {"jpg": "image/jpeg", "png": "image/png"}


def key_of(image_id: str, size: ThumbnailSize, extension: str) -> str:
    """Return the S3 key of a thumbnail; `extension` is one of CONTENT_TYPES."""
    return f"{image_id}/thumbnails/{size}.{extension}"


def put(key: str, content: bytes) -> None:
    """Store a thumbnail. Raises StorageError."""
    try:
        s3().put_object(Bucket=settings.bucket_name(), Key=key, Body=content, ContentType=_content_type(key))
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error


def delete_all(image_id: str) -> None:
    """Remove whatever thumbnails an image may have. Raises StorageError."""
    keys = [key_of(image_id, size, extension) for size in ThumbnailSize for extension in CONTENT_TYPES]
    try:
        response = s3().delete_objects(
            Bucket=settings.bucket_name(), Delete={"Objects": [{"Key": key} for key in keys]}
        )
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error
    if response.get("Errors"):
        raise StorageError


def presigned_url(key: str) -> str:
    """Return a URL that anybody can GET until it expires; made locally, S3 is not asked."""
    url = f"{settings.thumbnails_url()}/{key}"
    return presign(url, {"response-content-type": _content_type(key)}, settings.url_expiry_seconds())


def _content_type(key: str) -> str:
    return CONTENT_TYPES[key.rpartition(".")[2]]

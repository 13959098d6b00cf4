"""Thumbnails in S3. Only this module and file_store call S3."""

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.models import MEDIA_TYPES, ImageFormat, ThumbnailSize
from image_pipeline.storage import keys
from image_pipeline.storage.clients import s3
from image_pipeline.storage.presigning import presign


def put(key: str, content: bytes) -> None:
    """Store a JPEG or PNG under this S3 key, with its media type. Raises StorageError."""
    try:
        s3().put_object(Bucket=settings.bucket_name(), Key=key, Body=content, ContentType=media_type(key))
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
    extensions = sorted({row.thumbnail for row in ImageFormat})
    possible = [keys.thumbnail(image_id, size, extension) for size in ThumbnailSize for extension in extensions]
    try:
        response = s3().delete_objects(
            Bucket=settings.bucket_name(), Delete={"Objects": [{"Key": key} for key in possible]}
        )
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error
    if response.get("Errors"):
        raise StorageError


def presigned_url(key: str, disposition: str | None = None) -> str:
    """Return a URL from which anybody can GET the thumbnail until the URL expires. S3 is not called.

    `disposition` is the Content-Disposition of the response of S3.
    """
    url, headers = f"{settings.thumbnails_url()}/{key}", {"response-content-type": media_type(key)}
    if disposition is not None:
        headers["response-content-disposition"] = disposition
    return presign(url, headers, settings.url_expiry_seconds())


def media_type(key: str) -> str:
    """Return the media type that the extension of an S3 key stands for."""
    return MEDIA_TYPES[key.rpartition(".")[2]]

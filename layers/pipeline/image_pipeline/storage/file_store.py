"""Uploaded files in S3: those that wait for the worker, and those that are kept.

Only this module and thumbnail_store call S3.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import settings
from image_pipeline.errors import FileNotUploadedError, ImageTooLargeError, StorageError
from image_pipeline.storage import keys
from image_pipeline.storage.clients import s3
from image_pipeline.storage.presigning import presign

UPLOAD_FORM_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True)
class UploadForm:
    """A presigned POST: the fields of a form that S3 accepts at `url` until `expires_at`."""

    url: str
    fields: dict[str, str]
    expires_at: datetime
    max_bytes: int


def upload_form(image_id: str, content_type: str) -> UploadForm:
    """Return a form with which anybody can upload the file of this image, with this content type. S3 is not called."""
    limit = settings.max_direct_upload_bytes()
    expires_at = datetime.now(UTC) + UPLOAD_FORM_LIFETIME
    signed = s3().generate_presigned_post(
        settings.uploads_bucket(),
        keys.uploaded_file(image_id),
        Fields={"Content-Type": content_type},
        Conditions=[{"Content-Type": content_type}, ["content-length-range", 1, limit]],
        ExpiresIn=int(UPLOAD_FORM_LIFETIME.total_seconds()),
    )
    # boto3 names the global endpoint. It redirects to other regions, and browsers do not follow with a form.
    return UploadForm(settings.uploads_url(), signed["fields"], expires_at, limit)


def get(image_id: str) -> bytes:
    """Return the file of a direct upload. Raises FileNotUploadedError, ImageTooLargeError and StorageError."""
    return _get(keys.uploaded_file(image_id))


def original(image_id: str) -> bytes:
    """Return the kept file of a processed image. Raises FileNotUploadedError, ImageTooLargeError and StorageError."""
    return _get(keys.original(image_id))


def has_original(image_id: str) -> bool:
    """Tell whether the file of a processed image is kept. Raises StorageError."""
    try:
        s3().head_object(Bucket=settings.uploads_bucket(), Key=keys.original(image_id))
    except ClientError as error:
        # A response to HEAD has no body that could name the error.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
            return False
        raise StorageError from error
    except BotoCoreError as error:
        raise StorageError from error
    return True


def original_url(image_id: str, disposition: str) -> str:
    """Return a URL from which anybody can GET the kept file until the URL expires. S3 is not called.

    `disposition` is the Content-Disposition of the response of S3.
    """
    url = f"{settings.uploads_url()}/{keys.original(image_id)}"
    return presign(url, {"response-content-disposition": disposition}, settings.url_expiry_seconds())


def _get(key: str) -> bytes:
    limit = settings.max_direct_upload_bytes()
    try:
        response = s3().get_object(Bucket=settings.uploads_bucket(), Key=key)
        if response["ContentLength"] > limit:
            raise ImageTooLargeError(f"The file is larger than {limit:,} bytes. Please send a smaller image.")
        return response["Body"].read()
    except s3().exceptions.NoSuchKey:
        raise FileNotUploadedError from None
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error


def keep(image_id: str, content: bytes, content_type: str) -> None:
    """Store the uploaded file of a processed image. Raises StorageError."""
    try:
        s3().put_object(
            Bucket=settings.uploads_bucket(), Key=keys.original(image_id), Body=content, ContentType=content_type
        )
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error


def delete(image_id: str) -> None:
    """Delete the file of a direct upload, if there is one. Raises StorageError."""
    _delete(keys.uploaded_file(image_id))


def delete_all(image_id: str) -> None:
    """Delete the file of a direct upload and the kept file, if there are any. Raises StorageError."""
    for key in (keys.uploaded_file(image_id), keys.original(image_id)):
        _delete(key)


def _delete(key: str) -> None:
    try:
        s3().delete_object(Bucket=settings.uploads_bucket(), Key=key)
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error

"""The JSON bodies of the responses. schemas.py has their types."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from image_pipeline.http import downloads
from image_pipeline.models import Detail, ImageRecord, Statistics, UnfinishedImage
from image_pipeline.storage import thumbnail_store
from image_pipeline.storage.file_store import UploadForm

if TYPE_CHECKING:
    from image_pipeline.http import schemas

Body = Mapping[str, object]


def image(record: ImageRecord, details: Collection[Detail]) -> "schemas.Image":
    """Return the body for one finished image. An upload returns it, and the list contains it.

    `details` tells what else it contains. For a download, S3 may be asked.
    """
    metadata = record.metadata
    body: schemas.Image = {
        "image_status": "success",
        "data": {
            "image_id": record.image_id,
            "original_name": record.original_name,
            "processed_at": record.processed_at.isoformat(timespec="microseconds"),
            "time_taken": round(float(record.time_taken), 2),
            "metadata": {
                "width": metadata.width,
                "height": metadata.height,
                "format": metadata.format,
                "size_bytes": metadata.size_bytes,
                "created_at": _to_the_second(metadata.created_at),
                "modified_at": _to_the_second(metadata.modified_at),
            },
            "thumbnails": _thumbnails(record, details),
            "caption": record.caption,
        },
        "error": None,
    }
    if "caption" in details:
        body["data"]["caption_details"] = _caption_details(record)
    if "download" in details:
        body["data"]["download"] = downloads.find(record)
    if "placeholder" in details:
        body["data"]["placeholder"] = {"color": record.dominant_color} if record.dominant_color else None
    return body


def image_list(
    records: list[ImageRecord], next_page: str | None, details: Collection[Detail], *, is_search: bool = False
) -> "schemas.ImageList | schemas.NoImages":
    """Return a page of the list. `next_page` is a relative reference to the next page, or None for the last page."""
    if not records and not next_page:
        if is_search:
            return {"current_status": "success", "data": "No image matches.", "error": None}
        return {"current_status": "success", "data": "No image has been processed yet.", "error": None}
    body: schemas.ImageList = {
        "current_status": "success",
        "content": {record.image_id: image(record, details) for record in records},
    }
    if next_page:
        body["next"] = next_page
    return body


def image_details(found: ImageRecord | UnfinishedImage, details: Collection[Detail]) -> "schemas.ImageDetails":
    """Return the body for one image, inside the outer object that all reading routes use."""
    return {"current_status": "success", "data": _in_any_state(found, details)}


def checked_images(
    image_ids: Sequence[str],
    found: Mapping[str, ImageRecord | UnfinishedImage],
    known: Mapping[str, str] | None,
    details: Collection[Detail],
) -> "schemas.CheckedImages":
    """Return the body for the images `found` among these ids. The other ids are missing.

    `known` has the image ids of files by digest, or is None if the client did not ask for files.
    """
    body: schemas.CheckedImages = {
        "current_status": "success",
        "content": {image_id: _in_any_state(each, details) for image_id, each in found.items()},
        "missing": [image_id for image_id in image_ids if image_id not in found],
    }
    if known is not None:
        body["known"] = dict(known)
    return body


def image_deleted() -> "schemas.ImageDeleted":
    """Return the body for a deleted image."""
    return {"current_status": "success", "data": "Image deleted.", "error": None}


def upload_requested(image_id: str, form: UploadForm) -> "schemas.RequestedUpload":
    """Return the body for a direct upload: where and how to send the file, and where to ask for the result."""
    return {
        "current_status": "success",
        "data": {
            "image_id": image_id,
            "upload": {"url": form.url, "fields": form.fields},
            "expires_at": form.expires_at.isoformat(timespec="seconds"),
            "max_bytes": form.max_bytes,
            "status_url": f"images/{image_id}",
        },
    }


def thumbnail(url: str) -> "schemas.Thumbnail":
    """Return the body with the presigned URL of one thumbnail."""
    return {"current_status": "success", "data": url}


def statistics(totals: Statistics) -> "schemas.ProcessingStatistics":
    """Return the body with the numbers of uploads and their times in seconds."""
    return {
        "current_status": "success",
        "data": {
            "success": totals.success,
            "failure": totals.failure,
            "total_processing_time": float(totals.total_processing_time),
            "avg_processing_time": float(totals.avg_processing_time),
        },
    }


def failure(message: str) -> "schemas.Failure":
    """Return the body of an error. Every error has this body, except for ImageNotFoundError."""
    return {"current_status": "failure", "error": message}


def image_missing(message: str) -> "schemas.ImageMissing":
    """Return the body of ImageNotFoundError. Its shape is given by the API contract."""
    return {"current_status": "failure", "data": message, "error": None}


def _in_any_state(found: ImageRecord | UnfinishedImage, details: Collection[Detail]) -> "schemas.AnyImage":
    if isinstance(found, ImageRecord):
        return image(found, details)
    data: schemas.UnfinishedData = {"image_id": found.image_id, "original_name": found.original_name}
    if found.error is None:
        return {"image_status": "processing", "data": data, "error": None}
    failed: schemas.FailedImage = {"image_status": "failure", "data": data, "error": found.error}
    if found.is_temporary:
        failed["temporary"] = True
    return failed


def _thumbnails(record: ImageRecord, details: Collection[Detail]) -> "schemas.Thumbnails":
    """Return the URL of each thumbnail. An image that is older than a size has no thumbnail of that size."""
    shown = {size: key for size, key in record.thumbnails.items() if not size.is_option or size in details}
    return {size: thumbnail_store.presigned_url(key) for size, key in shown.items()}


def _caption_details(record: ImageRecord) -> "schemas.CaptionDetails":
    model, confidence = record.caption_model, record.caption_confidence
    return {
        "model": model.id,
        "revision": model.revision,
        "precision": model.precision,
        "prompt": record.caption_prompt or None,
        "confidence": None if confidence is None else float(confidence),
    }


def _to_the_second(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")

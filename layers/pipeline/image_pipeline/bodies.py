"""The JSON bodies of the API, as schemas.py describes them."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from image_pipeline import thumbnail_store
from image_pipeline.models import ImageRecord, Statistics, ThumbnailSize

if TYPE_CHECKING:
    from image_pipeline import schemas

Body = Mapping[str, object]


def image(record: ImageRecord) -> "schemas.Image":
    """Return what an upload answers, and what the list holds of each image."""
    metadata = record.metadata
    return {
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
            "thumbnails": {
                "small": thumbnail_store.presigned_url(record.thumbnails[ThumbnailSize.SMALL]),
                "medium": thumbnail_store.presigned_url(record.thumbnails[ThumbnailSize.MEDIUM]),
            },
            "caption": record.caption,
        },
        "error": None,
    }


def image_list(records: list[ImageRecord], next_page: str | None) -> "schemas.ImageList | schemas.NoImages":
    """Return a page of the list; `next_page` is the relative reference to the next page, if there is one."""
    if not records:
        return {"current_status": "success", "data": "No image has been processed yet.", "error": None}
    body: schemas.ImageList = {
        "current_status": "success",
        "content": {record.image_id: image(record) for record in records},
    }
    if next_page:
        body["next"] = next_page
    return body


def image_details(record: ImageRecord) -> "schemas.ImageDetails":
    """Return the image inside the envelope that the other reading routes have."""
    return {"current_status": "success", "data": image(record)}


def thumbnail(url: str) -> "schemas.Thumbnail":
    """Return where one thumbnail can be fetched."""
    return {"current_status": "success", "data": url}


def statistics(totals: Statistics) -> "schemas.ProcessingStatistics":
    """Return counts, and times in seconds."""
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
    """Return the body of every error but one."""
    return {"current_status": "failure", "error": message}


def image_missing(message: str) -> "schemas.ImageMissing":
    """Return the one error whose shape differs from all others."""
    return {"current_status": "failure", "data": message, "error": None}


def _to_the_second(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")

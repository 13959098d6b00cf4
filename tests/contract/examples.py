"""The examples in the contract of the API. Only the lists of sizes and formats follow from their tables."""

from typing import Any

from image_pipeline.errors import ACCEPTED_FILES
from image_pipeline.models import STANDARD_SIZES, any_of

IMAGE: dict[str, Any] = {
    "image_status": "success",
    "data": {
        "image_id": "b480bcff-7fff-45b2-93cf-7a534fe39821",
        "original_name": "hehhhh.jpg",
        "processed_at": "2025-03-16T07:09:30.826114+00:00",
        "time_taken": 3.21,
        "metadata": {
            "width": 261,
            "height": 216,
            "format": "JPEG",
            "size_bytes": 13962,
            "created_at": "2025-03-16 15:09:27",
            "modified_at": "2025-03-16 15:09:27",
        },
        "thumbnails": {
            size: f"http://localhost:8000/api/images/b480bcff-7fff-45b2-93cf-7a534fe39821/thumbnails/{size}"
            for size in STANDARD_SIZES
        },
        "caption": "a cartoon picture of two people standing in front of a city",
    },
    "error": None,
}
LIST: dict[str, Any] = {"current_status": "success", "content": {"b480bcff-7fff-45b2-93cf-7a534fe39821": IMAGE}}
DETAILS: dict[str, Any] = {"current_status": "success", "data": IMAGE}
THUMBNAIL = {"current_status": "success", "data": "b480bcff-7fff-45b2-93cf-7a534fe39821/thumbnails/small.jpg"}
STATISTICS = {
    "current_status": "success",
    "data": {
        "success": 2,
        "failure": 0,
        "total_processing_time": 4.662299156188965,
        "avg_processing_time": 2.3311495780944824,
    },
}
UNSUPPORTED = {
    "current_status": "failure",
    "error": f"Unsupported image file. Only accepts {ACCEPTED_FILES} files. Please try again.",
}
IMAGE_MISSING = {
    "current_status": "failure",
    "data": "Image does not exist. Please view another one.",
    "error": None,
}
_SIZES = any_of(f"'{size}'" for size in STANDARD_SIZES)
INVALID_SIZE = {"current_status": "failure", "error": f"Invalid input size. Please use {_SIZES}."}
THUMBNAIL_MISSING = {"current_status": "failure", "error": "Thumbnail not found."}


def shape(value: Any) -> Any:
    """Return the keys, in order, and the types of a JSON value."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    return type(value)

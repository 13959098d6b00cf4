"""Examples of responses for the OpenAPI document, by operation. A test checks each one against its schema."""

from collections.abc import Mapping

from image_pipeline.errors import (
    ATTEMPTS_FAILED,
    DailyLimitError,
    ImageLimitError,
    ImageTooLargeError,
    InvalidRequestError,
    InvalidThumbnailSizeError,
    PipelineError,
    UndecodableImageError,
)
from image_pipeline.http import cursors, requests, schemas
from image_pipeline.models import STANDARD_SIZES, any_of

Examples = Mapping[str, Mapping[str, object]]

_IMAGE_ID = "b480bcff-7fff-45b2-93cf-7a534fe39821"
_THUMBNAIL = f"https://thumbnails.s3.amazonaws.com/{_IMAGE_ID}/thumbnails/%s.jpg?X-Amz-Expires=3600"
_IMAGE: schemas.Image = {
    "image_status": "success",
    "data": {
        "image_id": _IMAGE_ID,
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
        "thumbnails": {size: _THUMBNAIL % size for size in STANDARD_SIZES},
        "caption": "a cartoon picture of two people standing in front of a city",
    },
    "error": None,
}
_WITH_DETAILS: schemas.Image = {
    **_IMAGE,
    "data": {
        **_IMAGE["data"],
        "caption_details": {
            "model": "Salesforce/blip-image-captioning-base",
            "revision": "82a37760796d32b1411fe092ab5d4e227313294b",
            "precision": "int8",
            "prompt": None,
            "confidence": 0.6931,
        },
        "placeholder": {"color": "#a9572a"},
    },
}
_WITH_DOWNLOAD: schemas.ImageDetails = {
    "current_status": "success",
    "data": {**_IMAGE, "data": {**_IMAGE["data"], "download": {"kind": "thumbnail", "url": _THUMBNAIL % "medium"}}},
}
_LIST: schemas.ImageList = {
    "current_status": "success",
    "content": {_IMAGE_ID: _IMAGE},
    "next": f"?limit=1&cursor={cursors.encode('2025-03-16T07:09:30.826114+00:00#' + _IMAGE_ID)}",
}
_NO_IMAGES: schemas.NoImages = {
    "current_status": "success",
    "data": "No image has been processed yet.",
    "error": None,
}
_NO_MATCH: schemas.NoImages = {"current_status": "success", "data": "No image matches.", "error": None}
_UNFINISHED: schemas.UnfinishedData = {"image_id": _IMAGE_ID, "original_name": "hehhhh.jpg"}
_FINISHED: schemas.ImageDetails = {"current_status": "success", "data": _IMAGE}
_PROCESSING: schemas.ImageDetails = {
    "current_status": "success",
    "data": {"image_status": "processing", "data": _UNFINISHED, "error": None},
}
_FAILED: schemas.ImageDetails = {
    "current_status": "success",
    "data": {
        "image_status": "failure",
        "data": _UNFINISHED,
        "error": UndecodableImageError.message,
    },
}
_UNKNOWN_ID = "f0b6a9e0-6f0c-4e39-a0a4-2d5a5e0a1f11"
_CHECKED: schemas.CheckedImages = {
    "current_status": "success",
    "content": {_IMAGE_ID: _IMAGE},
    "missing": [_UNKNOWN_ID],
}
_KNOWN: schemas.CheckedImages = {
    "current_status": "success",
    "content": {},
    "missing": [],
    "known": {"2f7f3a1d3a0b6ab0f8f1a1bd7bd4b3d7f7a8f27ce9c1d5b8d9f0c6a5e4b39821": _IMAGE_ID},
}
_NONE_EXISTS: schemas.CheckedImages = {"current_status": "success", "content": {}, "missing": [_UNKNOWN_ID]}
_FAILED_TEMPORARILY: schemas.ImageDetails = {
    "current_status": "success",
    "data": {"image_status": "failure", "data": _UNFINISHED, "error": ATTEMPTS_FAILED, "temporary": True},
}
_DELETED: schemas.ImageDeleted = {"current_status": "success", "data": "Image deleted.", "error": None}
_TARGET: schemas.RequestedUpload = {
    "current_status": "success",
    "data": {
        "image_id": _IMAGE_ID,
        "upload": {
            "url": "https://uploads.s3.eu-central-1.amazonaws.com/",
            "fields": {
                "key": f"uploads/{_IMAGE_ID}",
                "Content-Type": "image/jpeg",
                "x-amz-algorithm": "AWS4-HMAC-SHA256",
                "x-amz-credential": "…",
                "x-amz-date": "20250316T070930Z",
                "policy": "…",
                "x-amz-signature": "…",
            },
        },
        "expires_at": "2025-03-16T07:24:30+00:00",
        "max_bytes": 50_000_000,
        "status_url": f"images/{_IMAGE_ID}",
    },
}
_URL: schemas.Thumbnail = {"current_status": "success", "data": _THUMBNAIL % "small"}
_STATISTICS: schemas.ProcessingStatistics = {
    "current_status": "success",
    "data": {
        "success": 2,
        "failure": 0,
        "total_processing_time": 4.662299156188965,
        "avg_processing_time": 2.3311495780944824,
    },
}


SUCCESSES: dict[str, Examples] = {
    "uploadImage": {"Image": _IMAGE, "WithDetails": _WITH_DETAILS},
    "listImages": {"Images": _LIST, "NoImages": _NO_IMAGES, "NoMatch": _NO_MATCH},
    "checkImages": {"Checked": _CHECKED, "NoneExists": _NONE_EXISTS, "KnownFiles": _KNOWN},
    "getImage": {
        "Finished": _FINISHED,
        "WithDownload": _WITH_DOWNLOAD,
        "Processing": _PROCESSING,
        "Failed": _FAILED,
        "FailedTemporarily": _FAILED_TEMPORARILY,
    },
    "deleteImage": {"Deleted": _DELETED},
    "createUpload": {"Form": _TARGET},
    "getThumbnail": {"Url": _URL},
    "getStats": {"Statistics": _STATISTICS},
}
# The responses with a known image, of operations whose success looks different.
DUPLICATES: Examples = {"createUpload": {"KnownImage": _IMAGE}}
# The errors whose message depends on the request.
REFUSALS: dict[type[PipelineError], Mapping[str, str]] = {
    InvalidRequestError: {
        "uploadImage": "The uploaded file is empty. Please send a file with content.",
        "listImages": "Invalid limit. Please use a whole number from 1 to 100.",
        "checkImages": f"Invalid image_ids. Please use 1 to {requests.MAX_IMAGE_IDS} ids.",
        "getImage": "Invalid wait. Please use a whole number of seconds from 0 to 20.",
        "createUpload": f"Invalid content_type. Please use {any_of(requests.CONTENT_TYPES)}.",
        "getThumbnail": "Invalid redirect. Please use redirect=1 or redirect=0, or leave it out.",
    },
    ImageLimitError: dict.fromkeys(("uploadImage", "createUpload"), str(ImageLimitError.of(1000))),
    DailyLimitError: dict.fromkeys(("uploadImage", "createUpload"), str(DailyLimitError.of(100, 3600))),
    InvalidThumbnailSizeError: {"getThumbnail": str(InvalidThumbnailSizeError.expecting(STANDARD_SIZES))},
    ImageTooLargeError: {
        "uploadImage": (
            "The file is larger than 4,500,000 bytes. Please send it with POST /api/uploads, which takes larger files."
        ),
    },
}

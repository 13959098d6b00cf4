"""POST /api/images: take an image, answer with its record."""

from typing import TYPE_CHECKING

from functions.upload_image import cold_start, processing, uploads
from image_pipeline import bodies, errors, requests
from image_pipeline.api import api_handler

if TYPE_CHECKING:
    from image_pipeline import schemas


@api_handler(
    errors.InvalidRequestError,
    errors.UndecodableImageError,
    errors.UnsupportedImageError,
    errors.ImageTooLargeError,
    errors.RequestRunningError,
    errors.RequestKeyReusedError,
    errors.CaptionError,
)
def lambda_handler(event: requests.Event) -> "schemas.Image":
    key = requests.idempotency_key(event)
    return bodies.image(processing.process(uploads.from_event(event), key))


cold_start.prepare()

"""Process an image and return its record."""

from typing import TYPE_CHECKING

from image_pipeline import errors
from image_pipeline.http import bodies, forms, owners, requests
from image_pipeline.http.handler import Duplicate, api_handler
from image_processing import cold_start, uploads

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler(
    "POST /api/images",
    errors.InvalidRequestError,
    errors.UndecodableImageError,
    errors.UnsupportedImageError,
    errors.ImageTooLargeError,
    errors.RequestRunningError,
    errors.ImageLimitError,
    errors.DailyLimitError,
    errors.RequestKeyReusedError,
    errors.ImageNotFoundError,
    errors.CaptionError,
    errors.ServiceStartingError,
    counts_faults=True,
)
def lambda_handler(event: requests.Event) -> "schemas.Image | Duplicate":
    details = requests.details(event)
    outcome = uploads.process(owners.of(event), forms.upload(event))
    body = bodies.image(outcome.record, details)
    return Duplicate(body, outcome.record.image_id) if outcome.is_duplicate else body


cold_start.prepare()

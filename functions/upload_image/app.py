"""POST /api/images: take an image, answer with its record."""

from functions.upload_image import cold_start, processing, uploads
from image_pipeline import bodies, requests
from image_pipeline.api import api_handler


@api_handler
def lambda_handler(event: requests.Event) -> bodies.Body:
    key = requests.idempotency_key(event)
    return bodies.image(processing.process(uploads.from_event(event), key))


cold_start.prepare()

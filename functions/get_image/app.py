"""GET /api/images/{image_id}: one finished image."""

from typing import TYPE_CHECKING

from image_pipeline import bodies, clients, records, requests
from image_pipeline.api import api_handler
from image_pipeline.errors import ImageNotFoundError

if TYPE_CHECKING:
    from image_pipeline import schemas


@api_handler(ImageNotFoundError)
def lambda_handler(event: requests.Event) -> "schemas.ImageDetails":
    return bodies.image_details(records.get(requests.image_id(event)))


clients.prepare(clients.dynamodb)

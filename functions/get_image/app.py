"""GET /api/images/{image_id}: one finished image."""

from typing import TYPE_CHECKING

from image_pipeline.errors import ImageNotFoundError
from image_pipeline.http import bodies, requests
from image_pipeline.http.handler import api_handler
from image_pipeline.storage import clients, records

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler(ImageNotFoundError)
def lambda_handler(event: requests.Event) -> "schemas.ImageDetails":
    return bodies.image_details(records.get(requests.image_id(event)))


clients.prepare(clients.dynamodb)

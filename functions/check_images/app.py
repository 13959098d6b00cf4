"""Which of up to 100 images still exist, and how they look now."""

from typing import TYPE_CHECKING

from image_pipeline.errors import InvalidRequestError
from image_pipeline.http import bodies, owners, requests
from image_pipeline.http.handler import api_handler
from image_pipeline.storage import clients, records

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler("POST /api/images/check", InvalidRequestError)
def lambda_handler(event: requests.Event) -> "schemas.CheckedImages":
    image_ids, details = requests.image_ids(event), requests.details(event)
    return bodies.checked_images(image_ids, records.find_all(owners.of(event), image_ids), details)


clients.prepare(clients.dynamodb)

"""One image in any state."""

from typing import TYPE_CHECKING

from image_pipeline.errors import ImageNotFoundError, InvalidRequestError
from image_pipeline.http import bodies, owners, requests
from image_pipeline.http.handler import Unfinished, api_handler
from image_pipeline.storage import clients, records, table

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler("GET /api/images/{image_id}", ImageNotFoundError, InvalidRequestError)
def lambda_handler(event: requests.Event) -> "schemas.ImageDetails | Unfinished":
    details = requests.details(event, can_download=True)
    image = records.wait(owners.of(event), requests.image_id(event), requests.wait_seconds(event))
    body = bodies.image_details(image, details)
    return body if records.is_settled(image) else Unfinished(body)


clients.prepare(clients.dynamodb, table.connect)

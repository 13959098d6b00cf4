"""Delete an image in any state."""

from typing import TYPE_CHECKING

from image_pipeline.errors import ImageNotFoundError
from image_pipeline.http import bodies, owners, requests
from image_pipeline.http.handler import api_handler
from image_pipeline.storage import clients, records

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler("DELETE /api/images/{image_id}", ImageNotFoundError)
def lambda_handler(event: requests.Event) -> "schemas.ImageDeleted":
    records.delete(owners.of(event), requests.image_id(event))
    return bodies.image_deleted()


clients.prepare(clients.dynamodb)

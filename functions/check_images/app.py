"""Which of up to 100 images still exist, and how they look now; and which of up to 100 files are known."""

from typing import TYPE_CHECKING

from image_pipeline.errors import InvalidRequestError
from image_pipeline.http import bodies, owners, requests
from image_pipeline.http.handler import api_handler
from image_pipeline.storage import clients, records

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler("POST /api/images/check", InvalidRequestError)
def lambda_handler(event: requests.Event) -> "schemas.CheckedImages":
    (image_ids, files), details, owner = requests.images_to_check(event), requests.details(event), owners.of(event)
    known = None if files is None else records.find_known(owner, files)
    return bodies.checked_images(image_ids, records.check(owner, image_ids), known, details)


clients.prepare(clients.dynamodb)

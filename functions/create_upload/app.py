"""Request a direct upload, for files that are too large for POST /api/images."""

from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

from image_pipeline.errors import DailyLimitError, ImageLimitError, InvalidRequestError
from image_pipeline.http import bodies, owners, requests
from image_pipeline.http.handler import Duplicate, api_handler
from image_pipeline.models import digest
from image_pipeline.storage import claims, clients, file_store, records

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler("POST /api/uploads", InvalidRequestError, ImageLimitError, DailyLimitError, success=HTTPStatus.CREATED)
def lambda_handler(event: requests.Event) -> "schemas.RequestedUpload | Duplicate":
    file, owner = requests.file_to_upload(event), owners.of(event)
    if file.sha256 and (known := records.find_equal(owner, digest(file.sha256, file.prompt))):
        return Duplicate(bodies.image(known, []), known.image_id)
    image_id = str(uuid4())
    claims.request(owner, image_id, file.original_name, file.prompt)
    return bodies.upload_requested(image_id, file_store.upload_form(image_id, file.content_type))


clients.prepare(clients.dynamodb, clients.s3)

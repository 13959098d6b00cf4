"""Request a direct upload, for files that are too large for POST /api/images."""

from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

from image_pipeline.errors import InvalidRequestError
from image_pipeline.http import bodies, owners, requests
from image_pipeline.http.handler import api_handler
from image_pipeline.storage import claims, clients, file_store

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler("POST /api/uploads", InvalidRequestError, success=HTTPStatus.CREATED)
def lambda_handler(event: requests.Event) -> "schemas.RequestedUpload":
    original_name, content_type, prompt = requests.file_to_upload(event)
    image_id = str(uuid4())
    claims.request(owners.of(event), image_id, original_name, prompt)
    return bodies.upload_requested(image_id, file_store.upload_form(image_id, content_type))


clients.prepare(clients.dynamodb, clients.s3)

"""The URL of one thumbnail, or a redirect to it."""

from typing import TYPE_CHECKING

from image_pipeline.errors import (
    ImageNotFoundError,
    InvalidRequestError,
    InvalidThumbnailSizeError,
    ThumbnailNotFoundError,
)
from image_pipeline.http import bodies, owners, requests
from image_pipeline.http.handler import Redirect, api_handler
from image_pipeline.storage import clients, records, thumbnail_store

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler(
    "GET /api/images/{image_id}/thumbnails/{size}",
    ThumbnailNotFoundError,
    InvalidThumbnailSizeError,
    InvalidRequestError,
)
def lambda_handler(event: requests.Event) -> "schemas.Thumbnail | Redirect":
    size = requests.thumbnail_size(event)
    try:
        record = records.get(owners.of(event), requests.image_id(event))
    except ImageNotFoundError:
        raise ThumbnailNotFoundError from None
    if size not in record.thumbnails:
        raise ThumbnailNotFoundError
    key = record.thumbnails[size]
    url = thumbnail_store.presigned_url(key)
    body = bodies.thumbnail(url)
    if requests.wants_redirect(event, thumbnail_store.media_type(key)):
        return Redirect(body, url)
    return body


clients.prepare(clients.dynamodb)

"""GET /api/images/{image_id}/thumbnails/{size}: the URL of one thumbnail."""

from typing import TYPE_CHECKING

from image_pipeline.errors import ImageNotFoundError, InvalidThumbnailSizeError, ThumbnailNotFoundError
from image_pipeline.http import bodies, requests
from image_pipeline.http.handler import api_handler
from image_pipeline.storage import clients, records, thumbnail_store

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler(ThumbnailNotFoundError, InvalidThumbnailSizeError)
def lambda_handler(event: requests.Event) -> "schemas.Thumbnail":
    size = requests.thumbnail_size(event)
    try:
        record = records.get(requests.image_id(event))
    except ImageNotFoundError:
        raise ThumbnailNotFoundError from None
    if size not in record.thumbnails:
        raise ThumbnailNotFoundError
    return bodies.thumbnail(thumbnail_store.presigned_url(record.thumbnails[size]))


clients.prepare(clients.dynamodb)

"""GET /api/images/{image_id}/thumbnails/{size}: where one thumbnail can be fetched."""

from typing import TYPE_CHECKING

from image_pipeline import bodies, clients, records, requests, thumbnail_store
from image_pipeline.api import api_handler
from image_pipeline.errors import ImageNotFoundError, InvalidThumbnailSizeError, ThumbnailNotFoundError

if TYPE_CHECKING:
    from image_pipeline import schemas


@api_handler(ThumbnailNotFoundError, InvalidThumbnailSizeError)
def lambda_handler(event: requests.Event) -> "schemas.Thumbnail":
    size = requests.thumbnail_size(event)
    try:
        record = records.get(requests.image_id(event))
    except ImageNotFoundError:
        raise ThumbnailNotFoundError from None
    return bodies.thumbnail(thumbnail_store.presigned_url(record.thumbnails[size]))


clients.prepare(clients.dynamodb)

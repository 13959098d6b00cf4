"""GET /api/images/{image_id}/thumbnails/{size}: where one thumbnail can be fetched."""

from image_pipeline import bodies, clients, records, requests, thumbnail_store
from image_pipeline.api import api_handler
from image_pipeline.errors import ImageNotFoundError, ThumbnailNotFoundError


@api_handler
def lambda_handler(event: requests.Event) -> bodies.Body:
    size = requests.thumbnail_size(event)
    try:
        record = records.get(requests.image_id(event))
    except ImageNotFoundError:
        raise ThumbnailNotFoundError from None
    return bodies.thumbnail(thumbnail_store.presigned_url(record.thumbnails[size]))


clients.prepare(clients.dynamodb)

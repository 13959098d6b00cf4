"""GET /api/images: the finished images, newest first, a page at a time."""

from typing import TYPE_CHECKING

from image_pipeline import bodies, clients, cursors, records, requests
from image_pipeline.api import api_handler
from image_pipeline.errors import InvalidRequestError

if TYPE_CHECKING:
    from image_pipeline import schemas


@api_handler(InvalidRequestError)
def lambda_handler(event: requests.Event) -> "schemas.ImageList | schemas.NoImages":
    limit = requests.page_limit(event)
    page = records.newest(limit, requests.page_start(event))
    if not page.has_more:
        return bodies.image_list(page.records, None)
    cursor = cursors.encode(records.listing_position(page.records[-1]))
    return bodies.image_list(page.records, f"?limit={limit}&cursor={cursor}")


clients.prepare(clients.dynamodb)

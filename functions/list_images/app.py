"""GET /api/images: one page of the finished images, newest first."""

from typing import TYPE_CHECKING

from image_pipeline.errors import InvalidRequestError
from image_pipeline.http import bodies, cursors, requests
from image_pipeline.http.handler import api_handler
from image_pipeline.storage import clients, keys, records

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler(InvalidRequestError)
def lambda_handler(event: requests.Event) -> "schemas.ImageList | schemas.NoImages":
    limit = requests.page_limit(event)
    page = records.newest(limit, requests.page_start(event))
    if not page.has_more:
        return bodies.image_list(page.records, None)
    cursor = cursors.encode(keys.listing_position(page.records[-1]))
    return bodies.image_list(page.records, f"?limit={limit}&cursor={cursor}")


clients.prepare(clients.dynamodb)

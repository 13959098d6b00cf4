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
    limit, with_details = requests.page_limit(event), requests.wants_caption_details(event)
    page = records.newest(limit, requests.page_start(event))
    next_page = None
    if page.has_more:
        next_page = f"?limit={limit}&cursor={cursors.encode(keys.listing_position(page.records[-1]))}"
        if with_details:
            next_page += "&details=caption"
    return bodies.image_list(page.records, next_page, with_details=with_details)


clients.prepare(clients.dynamodb)

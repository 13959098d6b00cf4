"""One page of the finished images, or of those that match a search, newest first."""

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from image_pipeline.errors import InvalidRequestError
from image_pipeline.http import bodies, cursors, owners, requests
from image_pipeline.http.handler import api_handler
from image_pipeline.storage import clients, records, search_index, terms

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler("GET /api/images", InvalidRequestError)
def lambda_handler(event: requests.Event) -> "schemas.ImageList | schemas.NoImages":
    limit, start = requests.page_limit(event), requests.page_start(event)
    words, details = requests.search_words(event), requests.details(event)
    wanted = terms.wanted(words) if words else terms.Wanted()
    owner = owners.of(event)
    found = partial(search_index.search, owner, wanted) if wanted.choices else partial(records.newest, owner)
    page = found(limit, start)
    next_page = None
    if page.end:
        query = {"q": words, "limit": limit, "cursor": cursors.encode(page.end), "details": ",".join(details)}
        next_page = "?" + urlencode({name: value for name, value in query.items() if value})
    return bodies.image_list(page.records, next_page, details, is_search=bool(wanted.choices))


clients.prepare(clients.dynamodb)

"""How many uploads succeeded and failed, and how long they took."""

from typing import TYPE_CHECKING

from image_pipeline.http import bodies, owners, requests
from image_pipeline.http.handler import api_handler
from image_pipeline.storage import clients, records

if TYPE_CHECKING:
    from image_pipeline.http import schemas


@api_handler("GET /api/stats")
def lambda_handler(event: requests.Event) -> "schemas.ProcessingStatistics":
    return bodies.statistics(records.statistics(owners.of(event)))


clients.prepare(clients.dynamodb)

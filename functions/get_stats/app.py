"""GET /api/stats: how many uploads succeeded and failed, and how long they took."""

from typing import TYPE_CHECKING

from image_pipeline import bodies, clients, records, requests
from image_pipeline.api import api_handler

if TYPE_CHECKING:
    from image_pipeline import schemas


@api_handler()
def lambda_handler(event: requests.Event) -> "schemas.ProcessingStatistics":  # noqa: ARG001 - nothing can be asked for
    return bodies.statistics(records.statistics())


clients.prepare(clients.dynamodb)

"""GET /api/images/{image_id}: one finished image."""

from image_pipeline import bodies, clients, records, requests
from image_pipeline.api import api_handler


@api_handler
def lambda_handler(event: requests.Event) -> bodies.Body:
    return bodies.image_details(records.get(requests.image_id(event)))


clients.prepare(clients.dynamodb)

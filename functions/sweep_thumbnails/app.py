"""The table's stream: when an image's item is gone, its thumbnails go too.

So vanish the thumbnails of uploads that were killed half-way, whose item DynamoDB removes after an hour.
"""

from collections.abc import Mapping
from typing import Any

from image_pipeline import claims, clients, thumbnail_store
from image_pipeline.observability import logger


@logger.inject_lambda_context
def lambda_handler(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001 - Lambda's signature
    for change in event["Records"]:
        image_id = claims.image_id(change["dynamodb"]["Keys"]["pk"]["S"])
        thumbnail_store.delete_all(image_id)
        logger.info("thumbnails removed", image_id=image_id)


clients.prepare(clients.s3)

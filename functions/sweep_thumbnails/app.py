"""The stream of the table: delete the thumbnails of each image whose item was removed.

An upload that dies half-way leaves an item that expires after an hour. DynamoDB then removes the item.
"""

from collections.abc import Mapping
from typing import Any

from image_pipeline.observability import logger
from image_pipeline.storage import clients, keys, thumbnail_store


@logger.inject_lambda_context
def lambda_handler(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001 - Lambda passes both
    for change in event["Records"]:
        image_id = keys.image_id(change["dynamodb"]["Keys"]["pk"]["S"])
        thumbnail_store.delete_all(image_id)
        logger.info("thumbnails removed", image_id=image_id)


clients.prepare(clients.s3)

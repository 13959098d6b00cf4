"""Follows the stream of the table: updates the search index and the counts of owners, and deletes the files of images.

An upload that dies half-way leaves an item that expires after an hour. DynamoDB then removes the item.

If S3 or the index fails, the image id goes to a queue. This function gets it again from there, and tries for days. A
request that DynamoDB will always refuse is not tried again.
"""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from image_pipeline.errors import ImageNotFoundError, RefusedError, StorageError
from image_pipeline.observability import logger
from image_pipeline.storage import (
    clients,
    file_store,
    keys,
    leftovers,
    quotas,
    records,
    search_index,
    thumbnail_store,
)

_stream = BatchProcessor(EventType.DynamoDBStreams, raise_on_entire_batch_failure=False)
_queue = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: object) -> PartialItemFailureResponse:  # noqa: ARG001 - Lambda passes both
    if event["Records"][0]["eventSource"] == "aws:sqs":
        return process_partial_response(event, _follow_leftover, _queue)
    return process_partial_response(event, _follow_record, _stream)


def _follow_record(record: DynamoDBRecord) -> None:
    image_id = keys.image_id(record["dynamodb"]["Keys"]["pk"]["S"])
    try:
        _settle(image_id)
    except StorageError:
        logger.exception("image not settled", image_id=image_id)
        leftovers.send(image_id)


def _follow_leftover(record: SQSRecord) -> None:
    try:
        _settle(leftovers.image_of_message(record.body))
    except (StorageError, ValueError):
        logger.exception("leftover not settled", message_id=record.message_id)
        raise


def _settle(image_id: str) -> None:
    """Make files, index and counts agree with the image item as it is now, which may be newer than the event."""
    try:
        exists = search_index.update(image_id)
    except RefusedError:
        # Trying again does not help. make reindex names the image.
        logger.exception("image not indexed", image_id=image_id)
        exists = _exists(image_id)
    if quotas.are_counted():
        quotas.settle(image_id)
    if not exists:
        thumbnail_store.delete_all(image_id)
        file_store.delete_all(image_id)
        logger.info("files deleted", image_id=image_id)


def _exists(image_id: str) -> bool:
    try:
        records.find(None, image_id)
    except ImageNotFoundError:
        return False
    return True


clients.prepare(clients.dynamodb, clients.s3)

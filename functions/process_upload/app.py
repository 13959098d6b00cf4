"""The queue of uploaded files: process each file.

A message is a notification of S3. A message that fails is delivered again, and at last goes to the dead-letter queue.
"""

import json
from typing import Any
from urllib.parse import unquote_plus

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from image_pipeline import deadline
from image_pipeline.observability import logger
from image_processing import cold_start, direct_uploads

_processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: deadline.Context) -> PartialItemFailureResponse:
    with deadline.of(event, context):
        return process_partial_response(event, _process, _processor)


def _process(record: SQSRecord) -> None:
    # A test event of S3 has no records.
    for notified in json.loads(record.body).get("Records", []):
        try:
            direct_uploads.process(unquote_plus(notified["s3"]["object"]["key"]))
        except Exception:
            logger.exception("upload not processed", message_id=record.message_id)
            raise


cold_start.prepare()

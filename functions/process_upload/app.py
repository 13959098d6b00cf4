"""The queue of the worker: process uploaded files, and caption images again.

A message is a notification of S3, or `{"caption": "<image id>"}`. A message that fails is delivered again, and at last
goes to the dead-letter queue.
"""

import json
from typing import Any
from urllib.parse import unquote_plus

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from image_pipeline import deadline
from image_pipeline.observability import logger
from image_pipeline.storage.uploads_queue import Delivery
from image_processing import cold_start, direct_uploads, recaptions

_processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: deadline.Context) -> PartialItemFailureResponse:
    # A last delivery comes first, because a crash on another message would end it too.
    records = sorted(event["Records"], key=lambda record: -int(record["attributes"]["ApproximateReceiveCount"]))
    with deadline.of(event, context):
        return process_partial_response({**event, "Records": records}, _process, _processor)


def _process(record: SQSRecord) -> None:
    try:
        delivery = Delivery(record.receipt_handle, int(record.attributes.approximate_receive_count))
        _handle(json.loads(record.body), delivery)
    except Exception:
        logger.exception("message not processed", message_id=record.message_id)
        raise


def _handle(message: object, delivery: Delivery) -> None:
    match message:
        case {"caption": str(image_id)}:
            recaptions.process(image_id)
        case {"Records": list(records)}:
            for record in records:
                direct_uploads.process(unquote_plus(record["s3"]["object"]["key"]), delivery)
        case {"Event": "s3:TestEvent"}:
            pass
        case _:
            raise ValueError("unknown message")


cold_start.prepare()

"""The queue of the worker: when it delivers a message again. Only this module and leftovers.py call SQS."""

from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.storage import claims
from image_pipeline.storage.clients import sqs

# After the first and the second delivery, and after the last one, which then goes to the dead-letter queue. Otherwise
# the queue waits for its visibility timeout, as after a crash.
WAIT_SECONDS = {1: 30, 2: 120, claims.MAX_ATTEMPTS: 0}


@dataclass(frozen=True)
class Delivery:
    """One delivery of a message. `number` counts from 1."""

    receipt_handle: str
    number: int

    @property
    def is_last(self) -> bool:
        """Whether the message goes to the dead-letter queue if this delivery fails."""
        return self.number >= claims.MAX_ATTEMPTS


def shorten_wait(delivery: Delivery) -> None:
    """Let the queue deliver a message of which this delivery failed again soon. Raises StorageError."""
    if delivery.number not in WAIT_SECONDS:
        return
    try:
        sqs().change_message_visibility(
            QueueUrl=settings.uploads_queue_url(),
            ReceiptHandle=delivery.receipt_handle,
            VisibilityTimeout=WAIT_SECONDS[delivery.number],
        )
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error

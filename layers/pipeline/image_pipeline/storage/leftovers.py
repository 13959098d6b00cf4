"""The queue of images whose files S3 did not delete. Only this module and uploads_queue.py call SQS."""

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.storage import keys
from image_pipeline.storage.clients import sqs


def image_of_message(body: str) -> str:
    """Return the image id that a message of the queue contains. Raises ValueError for any other message."""
    if not keys.is_image_id(body):
        raise ValueError("the message is not an image id")
    return body


def send(image_id: str) -> None:
    """Remember that the files of this image must still be deleted. Raises StorageError."""
    try:
        sqs().send_message(QueueUrl=settings.leftovers_queue_url(), MessageBody=image_id)
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error

"""The path of a direct upload, from the message that its file has arrived to the record."""

from image_pipeline import observability
from image_pipeline.errors import (
    DeadlineError,
    FileNotUploadedError,
    ImageNotFoundError,
    ImageTooLargeError,
    PipelineError,
    StorageError,
    UndecodableImageError,
    UnsupportedImageError,
)
from image_pipeline.models import Upload
from image_pipeline.observability import logger
from image_pipeline.storage import claims, file_store, keys, records, uploads_queue
from image_pipeline.storage.claims import Claim
from image_pipeline.storage.uploads_queue import Delivery
from image_processing import uploads

# Another attempt would end in the same way.
_FINAL_ERRORS = (FileNotUploadedError, ImageTooLargeError, UndecodableImageError, UnsupportedImageError)


def process(key: str, delivery: Delivery) -> None:
    """Process the uploaded file with this S3 key, and delete it. Does nothing if this has happened before.

    If the file is not a usable image, the image fails with a message for clients. The last attempt stores a temporary
    failure before it works; a success, also of an attempt after a redrive, replaces it.

    Raises RequestRunningError while another attempt runs. Raises CaptionError, StorageError, DeadlineError and
    unexpected errors. After each of these, another attempt may succeed, and the queue delivers the message again soon.
    """
    image_id = keys.image_of_file(key)
    if image_id is None:
        logger.warning("not an uploaded file")
        return
    try:
        claim, original_name, prompt = claims.take(image_id)
    except ImageNotFoundError:
        logger.info("nothing to process", image_id=image_id)
    except StorageError:
        # If only the reply was lost, the next attempt has to wait for the lease.
        _retry_soon(delivery)
        raise
    else:
        try:
            _attempt(claim, original_name, prompt, is_last=delivery.is_last)
        except Exception:
            _retry_soon(delivery, claim)
            raise
    # The record is stored, so a repeated message finds nothing to do.
    file_store.delete(image_id)


def _attempt(claim: Claim, original_name: str, prompt: str, *, is_last: bool) -> None:
    if is_last and not claim.has_failed:
        claim = records.fail_temporarily(claim)
        observability.record_failure("direct")
    try:
        uploads.process_claimed(Upload(original_name, file_store.get(claim.image_id), prompt=prompt), claim)
    except _FINAL_ERRORS as error:
        _fail(claim, original_name, error)


def _retry_soon(delivery: Delivery, claim: Claim | None = None) -> None:
    """End the lease, and then the wait of the message. If this fails, the message waits until the lease is over."""
    try:
        if claim is not None:
            claims.release(claim)
        uploads_queue.shorten_wait(delivery)
    except (StorageError, DeadlineError):
        logger.exception("wait not shortened")


def _fail(claim: Claim, original_name: str, error: PipelineError) -> None:
    records.fail(claim, "failure", original_name, str(error))
    if not claim.has_failed:
        observability.record_failure("direct")
    logger.info("image refused", image_id=claim.image_id, reason=type(error).__name__)

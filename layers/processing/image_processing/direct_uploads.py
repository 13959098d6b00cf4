"""The path of a direct upload, from the message that its file has arrived to the record."""

from image_pipeline import observability
from image_pipeline.errors import (
    FileNotUploadedError,
    ImageNotFoundError,
    ImageTooLargeError,
    PipelineError,
    UndecodableImageError,
    UnsupportedImageError,
)
from image_pipeline.models import Upload
from image_pipeline.observability import logger
from image_pipeline.storage import claims, file_store, keys, records
from image_processing import uploads

# Another attempt would end in the same way.
_FINAL_ERRORS = (FileNotUploadedError, ImageTooLargeError, UndecodableImageError, UnsupportedImageError)


def process(key: str) -> None:
    """Process the uploaded file with this S3 key, and delete it. Does nothing if this has happened before.

    If the file is not a usable image, the image fails with a message for clients. Raises RequestRunningError while
    another attempt runs. Raises CaptionError, StorageError, DeadlineError and unexpected errors. After each of these,
    another attempt may succeed.
    """
    image_id = keys.image_of_file(key)
    if image_id is None:
        logger.warning("not an uploaded file")
        return
    try:
        claim, original_name, prompt = claims.take(image_id)
    except ImageNotFoundError:
        logger.info("nothing to process", image_id=image_id)
    else:
        try:
            uploads.process_claimed(Upload(original_name, file_store.get(image_id), prompt=prompt), claim)
        except _FINAL_ERRORS as error:
            _fail(claim, original_name, error)
    # The record is stored, so a repeated message finds nothing to do.
    file_store.delete(image_id)


def _fail(claim: claims.Claim, original_name: str, error: PipelineError) -> None:
    records.fail(claim, "failure", original_name, str(error))
    observability.record_failure("direct")
    logger.info("image refused", image_id=claim.image_id, reason=type(error).__name__)

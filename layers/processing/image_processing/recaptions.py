"""New captions for finished images, by the model of this function."""

from datetime import UTC, datetime

from image_pipeline import settings
from image_pipeline.errors import FileNotUploadedError, ImageNotFoundError
from image_pipeline.models import ImageRecord, ThumbnailSize
from image_pipeline.observability import logger
from image_pipeline.storage import file_store, records, thumbnail_store
from image_processing import captions, pictures
from image_processing.decoding import reduction


def process(image_id: str) -> None:
    """Caption an image again, if another model wrote its caption.

    Uses the original if it is kept, and otherwise the medium thumbnail. Raises CaptionError, StorageError and
    DeadlineError.
    """
    try:
        record = records.get(None, image_id)
    except ImageNotFoundError:
        logger.info("nothing to caption", image_id=image_id)
        return
    captioner = captions.get_captioner()
    if record.caption_model == captioner.model:
        return
    side = captioner.preprocess.size
    least = reduction.least_sides(0, side)
    picture = pictures.decode(_content(record), datetime.now(UTC), settings.max_direct_image_pixels(), least)
    caption = captioner.caption(pictures.flatten(picture, side), record.caption_prompt)
    records.replace_caption(record, caption.text, caption.confidence, captioner.model)
    logger.info("image captioned again", image_id=image_id)


def _content(record: ImageRecord) -> bytes:
    try:
        return file_store.original(record.image_id)
    except FileNotUploadedError:
        return thumbnail_store.get(record.thumbnails[ThumbnailSize.MEDIUM])

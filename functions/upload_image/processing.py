"""The way of an upload: decode, then thumbnails and caption side by side, then one record."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from functions.upload_image import images
from functions.upload_image.captioner import get_captioner
from functions.upload_image.uploads import Upload
from image_pipeline import clients, records, settings, thumbnail_store
from image_pipeline.errors import ImageTooLargeError, StorageError, UnsupportedImageError
from image_pipeline.models import ImageRecord, ThumbnailSize
from image_pipeline.observability import logger


def process(upload: Upload) -> ImageRecord:
    """Process an upload and return its stored record.

    Raises UnsupportedImageError and ImageTooLargeError, which leave no trace. Any other error, such as
    UndecodableImageError, CaptionError or StorageError, counts as a failure and leaves no thumbnail,
    unless the storage fails at that too.
    """
    start = time.perf_counter()
    received_at = datetime.now(UTC)
    image_id, attempt = str(uuid4()), str(uuid4())
    keys: dict[ThumbnailSize, str] = {}
    try:
        picture = images.decode(upload.content, received_at, settings.max_image_pixels())
        extension = images.EXTENSIONS[picture.metadata.format]
        keys = {size: thumbnail_store.key_of(image_id, size, extension) for size in ThumbnailSize}
        caption = _store_thumbnails_and_caption(picture, keys)
        record = ImageRecord(
            image_id=image_id,
            original_name=upload.original_name,
            processed_at=datetime.now(UTC),
            time_taken=Decimal(round((time.perf_counter() - start) * 1e6)) / 1_000_000,
            metadata=picture.metadata,
            thumbnails=keys,
            caption=caption,
            caption_model=get_captioner().model,
            sha256=hashlib.sha256(upload.content).hexdigest(),
            attempt=attempt,
        )
        records.save(record)
    except (UnsupportedImageError, ImageTooLargeError):
        raise
    except Exception:
        _clean_up(image_id, attempt, list(keys.values()))
        raise
    _report("ImagesProcessed", float(record.time_taken))
    logger.info("image processed", image_id=image_id, seconds=float(record.time_taken))
    return record


def _store_thumbnails_and_caption(picture: images.Picture, keys: dict[ThumbnailSize, str]) -> str:
    """Make and store the thumbnails while the caption is written; return the caption."""

    def store(size: ThumbnailSize) -> None:
        thumbnail_store.put(keys[size], images.thumbnail(picture, size.pixels))

    # The cache of clients has no lock: the threads must find this one there.
    clients.s3()
    # Leaving the pool waits for both, so that nothing is stored after a failure was cleaned up.
    with ThreadPoolExecutor(len(keys), thread_name_prefix="thumbnail") as pool:
        stored = [pool.submit(store, size) for size in keys]
        caption = get_captioner().caption(images.flattened(picture))
    for future in stored:
        future.result()
    return caption


def _clean_up(image_id: str, attempt: str, keys: list[str]) -> None:
    """Count the failure and remove its thumbnails; as long as the failure is not stored, they may be in use."""
    _report("ImagesFailed")
    try:
        records.save_failure(image_id, attempt)
        if keys:
            thumbnail_store.delete(keys)
    except StorageError:
        logger.exception("clean-up failed", image_id=image_id)


def _report(outcome: str, seconds: float | None = None) -> None:
    # Not the shared Metrics object: several uploads run in one process under the local API.
    metrics = EphemeralMetrics()
    metrics.add_metric(name=outcome, unit=MetricUnit.Count, value=1)
    if seconds is not None:
        metrics.add_metric(name="ProcessingTime", unit=MetricUnit.Seconds, value=seconds)
    metrics.flush_metrics()

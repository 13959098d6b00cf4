"""Processing of an upload: decode the image, make thumbnails and caption at the same time, store one record."""

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from functions.upload_image import images
from functions.upload_image.captioner import get_captioner
from functions.upload_image.uploads import Upload
from image_pipeline import claims, clients, deadline, records, settings, thumbnail_store
from image_pipeline.claims import Claim
from image_pipeline.errors import DeadlineError, StorageError, UndecodableImageError
from image_pipeline.models import ImageRecord, ThumbnailSize
from image_pipeline.observability import logger
from image_pipeline.threads import ThreadPool


def process(upload: Upload, key: str | None) -> ImageRecord:
    """Process an upload and return its stored record; with an Idempotency-Key that was seen before, the record of then.

    Raises UnsupportedImageError and ImageTooLargeError, which leave no trace, RequestRunningError and
    RequestKeyReusedError. Any other error, such as UndecodableImageError, CaptionError, StorageError or DeadlineError,
    counts as a failure and leaves no thumbnail, unless the storage fails at that too.
    """
    start = time.perf_counter()
    received_at = datetime.now(UTC)
    sha256 = hashlib.sha256(upload.content).hexdigest()
    try:
        picture = images.decode(upload.content, received_at, settings.max_image_pixels())
    except UndecodableImageError:
        # A repeated request ends in claim(), with the same error, and is not counted again.
        if isinstance(mine := claims.claim(key, sha256), Claim):
            _record_failure(mine, "damaged")
        raise
    mine = claims.claim(key, sha256)
    if not isinstance(mine, Claim):
        return records.get(mine)
    extension = images.EXTENSIONS[picture.metadata.format]
    keys = {size: thumbnail_store.key_of(mine.image_id, size, extension) for size in ThumbnailSize}
    try:
        caption = _store_thumbnails_and_caption(picture, keys, mine)
        record = ImageRecord(
            image_id=mine.image_id,
            original_name=upload.original_name,
            processed_at=datetime.now(UTC),
            time_taken=Decimal(round((time.perf_counter() - start) * 1e6)) / 1_000_000,
            metadata=picture.metadata,
            thumbnails=keys,
            caption=caption,
            caption_model=get_captioner().model,
            sha256=sha256,
            attempt=mine.attempt,
        )
        records.save(record, key)
    except Exception:
        if _record_failure(mine, "failure"):
            _remove_thumbnails(mine.image_id)
        raise
    _report("ImagesProcessed", float(record.time_taken))
    logger.info("image processed", image_id=mine.image_id, seconds=float(record.time_taken))
    return record


def _store_thumbnails_and_caption(picture: images.Picture, keys: Mapping[ThumbnailSize, str], mine: Claim) -> str:
    """Make and store the thumbnails while the caption is written; return the caption."""
    # Make the clients before the threads start: making one is not thread-safe.
    clients.dynamodb()
    clients.s3()
    # Leaving the pool waits for its threads, so no thumbnail is stored after a failure was cleaned up.
    with ThreadPool(len(keys) + 1, thread_name_prefix="thumbnail") as pool:
        reserved = pool.submit(claims.reserve, mine)

        def store(size: ThumbnailSize) -> None:
            thumbnail = images.thumbnail(picture, size.pixels)
            # Every object in the bucket must have an item in the table.
            reserved.result()
            thumbnail_store.put(keys[size], thumbnail)

        stored = [pool.submit(store, size) for size in keys]
        caption = _caption(picture)
    for future in stored:
        future.result()
    return caption


def _caption(picture: images.Picture) -> str:
    """Return the caption. Raises CaptionError, and DeadlineError while there is time to store that failure."""
    # One call to AWS stores the failure; the last second is for everything else.
    with deadline.earlier(clients.LONGEST_CALL_SECONDS + 1):
        return get_captioner().caption(images.flattened(picture))


def _record_failure(mine: Claim, outcome: Literal["damaged", "failure"]) -> bool:
    """Count a failure; return whether it is stored. If it is not, the upload may have succeeded."""
    _report("ImagesFailed")
    try:
        records.save_failure(mine, outcome)
    except (StorageError, DeadlineError):
        logger.exception("failure not recorded", image_id=mine.image_id)
        return False
    return True


def _remove_thumbnails(image_id: str) -> None:
    try:
        thumbnail_store.delete_all(image_id)
    except (StorageError, DeadlineError):
        logger.exception("thumbnails not removed", image_id=image_id)


def _report(outcome: str, seconds: float | None = None) -> None:
    # Not the shared Metrics object: several uploads run in one process under the local API.
    metrics = EphemeralMetrics()
    metrics.add_metric(name=outcome, unit=MetricUnit.Count, value=1)
    if seconds is not None:
        metrics.add_metric(name="ProcessingTime", unit=MetricUnit.Seconds, value=seconds)
    metrics.flush_metrics()

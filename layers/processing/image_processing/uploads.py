"""The path of an upload: decode the image, claim the upload, make thumbnails and caption, store the record."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from image_pipeline import deadline, observability, settings, thumbnail_sizes
from image_pipeline.errors import (
    UNEXPECTED,
    DeadlineError,
    ImageTooLargeError,
    OwnerLimitError,
    PipelineError,
    ServiceStartingError,
    StorageError,
    UndecodableImageError,
    UnsupportedImageError,
)
from image_pipeline.models import ImageMetadata, ImageRecord, ThumbnailSize, Upload, digest
from image_pipeline.observability import logger
from image_pipeline.storage import claims, clients, file_store, keys, quotas, records, thumbnail_store
from image_pipeline.storage.claims import Claim
from image_pipeline.threads import ThreadPool
from image_processing import captions, pictures, placeholders, thumbnails
from image_processing.captions import Caption
from image_processing.decoding import reduction
from image_processing.decoding.reduction import Sides
from image_processing.pictures import Picture

_LARGER_IMAGES = "Please scale it down, or send it with POST /api/uploads, which takes larger images."
# The time that is kept for the work after the caption: one call that stores the outcome, and 1 s for the rest.
_SECONDS_AFTER_CAPTION = clients.MAX_CALL_SECONDS + 1


@dataclass(frozen=True)
class Processed:
    """A stored image. With `is_duplicate` it is that of an earlier upload of the same file and prompt."""

    record: ImageRecord
    is_duplicate: bool = False


def process(owner: str, upload: Upload) -> Processed:
    """Process an upload of an owner and return its stored record.

    If the upload has an Idempotency-Key and an earlier attempt succeeded, returns the record of that attempt. An upload
    that is to be unique is not processed if its file is known. If the same file is stored at the same time, the upload
    is given back, and nothing is counted.

    Nothing is stored after UnsupportedImageError, ImageTooLargeError, OwnerLimitError, RequestRunningError and
    RequestKeyReusedError, or if StorageError or DeadlineError comes before the processing begins. Raises
    ImageNotFoundError if the image of an earlier attempt was deleted.

    Raises ServiceStartingError if a new environment took too long to start. Nothing is counted. A claim whose
    processing has begun is then given back. After any other error during the processing, such as
    UndecodableImageError, CaptionError, StorageError or DeadlineError, a failure is counted and the thumbnails are
    deleted, unless storage fails again.
    """
    # A cold start uses the time of this request. The model may still be loading.
    is_starting = not captions.is_loaded() or deadline.remaining() < _SECONDS_AFTER_CAPTION
    try:
        return _process(owner, upload, is_starting=is_starting)
    except DeadlineError as error:
        if is_starting:
            raise ServiceStartingError from error
        raise


def _process(owner: str, upload: Upload, *, is_starting: bool) -> Processed:
    start, received_at = time.perf_counter(), datetime.now(UTC)
    sha256 = hashlib.sha256(upload.content).hexdigest()
    request = digest(sha256, upload.prompt)
    if upload.is_unique and (known := _known(owner, upload.idempotency_key, request)):
        return Processed(known, is_duplicate=True)
    try:
        picture = pictures.decode(
            upload.content, received_at, settings.max_image_pixels(), _least_sides(), advice=_LARGER_IMAGES
        )
    except UndecodableImageError as error:
        # If an earlier attempt has counted this failure, claim() raises the same error here.
        _fail(claims.claim(owner, upload.idempotency_key, request), "damaged", upload.original_name, error)
        raise
    except (ImageTooLargeError, UnsupportedImageError):
        observability.record_refusal("form")
        raise
    decoding_seconds = time.perf_counter() - start
    claim = _claim(owner, upload, request)
    if claim.is_finished:
        return Processed(records.get(owner, claim.image_id))
    try:
        record = _finish(upload, picture, sha256, claim, start)
    except Exception as error:
        if is_starting and isinstance(error, DeadlineError):
            _give_back(claim)
        elif _fail(claim, "failure", upload.original_name, error):
            _delete_files(claim.image_id)
        raise
    if record.image_id != claim.image_id:
        # After the image item is deleted, the stream of the table deletes the files.
        _give_back(claim)
        return Processed(record, is_duplicate=True)
    observability.record_success("form", float(record.time_taken), decoding_seconds, len(upload.content))
    return Processed(record)


def _known(owner: str, idempotency_key: str | None, file: str) -> ImageRecord | None:
    """Return the image that has this file and prompt. If the key was sent before, `claims.claim` decides instead."""
    if idempotency_key is not None and claims.image_of(owner, idempotency_key) is not None:
        return None
    return records.find_equal(owner, file)


def _claim(owner: str, upload: Upload, request: str) -> Claim:
    """Claim an upload whose file and prompt have the digest `request`. For a limited owner, also take a place.

    Raises OwnerLimitError at the limit.
    """
    claim = claims.claim(owner, upload.idempotency_key, request)
    if claim.is_finished or not quotas.is_limited(owner):
        return claim
    try:
        claims.reserve(claim, upload.original_name)
    except (OwnerLimitError, StorageError, DeadlineError):
        _give_back(claim)
        raise
    return replace(claim, is_reserved=True)


def process_claimed(upload: Upload, claim: Claim) -> ImageRecord:
    """Process the file of a direct upload and return its stored record.

    Raises UndecodableImageError, UnsupportedImageError or ImageTooLargeError if the file cannot be processed. After any
    other error, such as CaptionError, StorageError or DeadlineError, another attempt may succeed.
    """
    start, received_at = time.perf_counter(), datetime.now(UTC)
    picture = pictures.decode(upload.content, received_at, settings.max_direct_image_pixels(), _least_sides())
    decoding_seconds = time.perf_counter() - start
    record = _finish(upload, picture, hashlib.sha256(upload.content).hexdigest(), claim, start)
    observability.record_success("direct", float(record.time_taken), decoding_seconds, len(upload.content))
    return record


def _least_sides() -> Sides:
    """Return the smallest sides of a picture that are enough for all thumbnails and for the caption."""
    return reduction.least_sides(max(thumbnail_sizes.sides().values()), captions.input_side())


def _finish(upload: Upload, picture: Picture, sha256: str, claim: Claim, start: float) -> ImageRecord:
    """Make thumbnails and caption of a decoded image, and store them with the record.

    Return the record, or that of a known image if the upload is to be unique.
    """
    sizes, extension = _sizes(picture.metadata), picture.format.thumbnail
    thumbnail_keys = {size: keys.thumbnail(claim.image_id, size, extension) for size in sizes}
    caption = _store_files_and_caption(upload, picture, thumbnail_keys, claim)
    record = ImageRecord(
        image_id=claim.image_id,
        original_name=upload.original_name,
        processed_at=datetime.now(UTC),
        time_taken=Decimal(round((time.perf_counter() - start) * 1e6)) / 1_000_000,
        metadata=picture.metadata,
        thumbnails=thumbnail_keys,
        caption=caption.text,
        caption_model=captions.get_captioner().model,
        caption_prompt=upload.prompt,
        caption_confidence=caption.confidence,
        dominant_color=placeholders.dominant_color(picture),
        sha256=sha256,
        owner=claim.owner,
    )
    stored = records.save(claim, record, is_unique=upload.is_unique)
    message = "image processed" if stored is record else "equal image found"
    logger.info(message, image_id=stored.image_id, seconds=float(record.time_taken))
    return stored


def _sizes(metadata: ImageMetadata) -> list[ThumbnailSize]:
    """Return the sizes of the thumbnails of an image. An optional size must show more than the medium thumbnail."""
    sides = thumbnail_sizes.sides()
    is_larger = max(metadata.width, metadata.height) > sides[ThumbnailSize.MEDIUM]
    return [size for size in sides if is_larger or not size.is_option]


def _store_files_and_caption(
    upload: Upload, picture: Picture, thumbnail_keys: Mapping[ThumbnailSize, str], claim: Claim
) -> Caption:
    """Store the thumbnails and, if it is kept, the uploaded file. Write the caption at the same time and return it."""
    # Make the clients before the threads start, because boto3 cannot make clients in several threads at once.
    clients.dynamodb()
    clients.s3()
    sides = thumbnail_sizes.sides()
    # The pool waits for its threads, so no thumbnail is stored after a failure was cleaned up.
    with ThreadPool(len(thumbnail_keys) + 2, thread_name_prefix="files") as pool:
        reserved = pool.submit(claims.reserve, claim, upload.original_name)

        def store(size: ThumbnailSize) -> None:
            content = thumbnails.make(picture, sides[size])
            # Every object in the bucket must have an item in the table.
            reserved.result()
            thumbnail_store.put(thumbnail_keys[size], content)

        def keep() -> None:
            reserved.result()
            file_store.keep(claim.image_id, upload.content, picture.format.media_type)

        stored = [pool.submit(store, size) for size in thumbnail_keys]
        if settings.keep_originals():
            stored.append(pool.submit(keep))
        caption = _caption(picture, upload.prompt)
    for future in stored:
        future.result()
    return caption


def _caption(picture: Picture, prompt: str) -> Caption:
    """Return the caption. Raises CaptionError, and DeadlineError while there is time to store the failure."""
    with deadline.earlier(_SECONDS_AFTER_CAPTION):
        captioner, start = captions.get_captioner(), time.perf_counter()
        caption = captioner.caption(pictures.flatten(picture, captions.input_side()), prompt)
    observability.record_caption(captioner.model, time.perf_counter() - start)
    return caption


def _fail(claim: Claim, outcome: Literal["damaged", "failure"], original_name: str, error: Exception) -> bool:
    """Count a failure. Return whether it is stored; if not, the upload may have succeeded."""
    observability.record_failure("form")
    message = str(error) if isinstance(error, PipelineError) else UNEXPECTED
    try:
        records.fail(claim, outcome, original_name, message)
    except (StorageError, DeadlineError):
        logger.exception("failure not recorded", image_id=claim.image_id)
        return False
    return True


def _give_back(claim: Claim) -> None:
    """Undo a claim, and count nothing. If this fails, its items expire, and the files are deleted with them."""
    try:
        claims.give_back(claim)
    except (StorageError, DeadlineError):
        logger.exception("claim not given back", image_id=claim.image_id)


def _delete_files(image_id: str) -> None:
    try:
        thumbnail_store.delete_all(image_id)
        if settings.keep_originals():
            file_store.delete_all(image_id)
    except (StorageError, DeadlineError):
        logger.exception("files not deleted", image_id=image_id)

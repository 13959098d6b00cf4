"""Records of processed images, for tests and benchmarks that need stored images without processing files."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from image_pipeline.models import STANDARD_SIZES, CaptionModel, ImageMetadata, ImageRecord
from image_pipeline.storage import records
from image_pipeline.storage.claims import Claim

IMAGE_ID = "b480bcff-7fff-45b2-93cf-7a534fe39821"
_NOON = datetime(2025, 3, 16, 12, 0, 0, 826114, UTC)


def store_sample(record: ImageRecord, attempt: str | None = None) -> None:
    """Store a record as an upload without an Idempotency-Key does."""
    records.save(Claim(record.image_id, attempt or str(uuid4()), None, owner=record.owner), record)


def sample_image(image_id: str | None = None, minutes: int = 0, seconds_taken: str = "0.25") -> ImageRecord:
    """Return the record of an image that was processed `minutes` after noon."""
    image_id = image_id or str(uuid4())
    return ImageRecord(
        image_id=image_id,
        original_name="hehhhh.jpg",
        processed_at=_NOON + timedelta(minutes=minutes),
        time_taken=Decimal(seconds_taken),
        metadata=ImageMetadata(261, 216, "JPEG", 13962, _NOON, _NOON),
        thumbnails={size: f"{image_id}/thumbnails/{size}.jpg" for size in STANDARD_SIZES},
        caption="a cartoon picture of two people standing in front of a city",
        caption_model=CaptionModel("demo", "2", "fp32"),
        caption_prompt="",
        caption_confidence=Decimal("0.9876"),
        dominant_color="#a9572a",
        sha256="0" * 64,
    )

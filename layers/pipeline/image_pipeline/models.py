"""What the pipeline knows of an image, and its statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

ImageFormat = Literal["JPEG", "PNG"]


class ThumbnailSize(StrEnum):
    """The thumbnails made of every image; `pixels` is the side of the square that each fits in."""

    SMALL = "small"
    MEDIUM = "medium"

    @property
    def pixels(self) -> int:
        return {ThumbnailSize.SMALL: 128, ThumbnailSize.MEDIUM: 512}[self]


@dataclass(frozen=True)
class ImageMetadata:
    """Facts of the uploaded file; width and height are those of the upright image."""

    width: int
    height: int
    format: ImageFormat
    size_bytes: int
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True)
class CaptionModel:
    """Which model wrote a caption: hub id or name, revision, and precision of its weights."""

    id: str
    revision: str
    precision: str


@dataclass(frozen=True)
class ImageRecord:
    """A finished image as it is stored; `thumbnails` maps a size to its S3 key."""

    image_id: str
    original_name: str
    processed_at: datetime
    time_taken: Decimal
    metadata: ImageMetadata
    thumbnails: Mapping[ThumbnailSize, str]
    caption: str
    caption_model: CaptionModel
    sha256: str
    attempt: str


@dataclass(frozen=True)
class Statistics:
    """Counts of finished and failed uploads; the time is the sum over the finished ones, in seconds."""

    success: int
    failure: int
    total_processing_time: Decimal

    @property
    def avg_processing_time(self) -> Decimal:
        return self.total_processing_time / self.success if self.success else Decimal(0)

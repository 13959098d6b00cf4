"""The data that the pipeline works with: uploads, images, statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

ImageFormat = Literal["JPEG", "PNG"]
# What the data of an image also contains if a request has `?details=`.
Detail = Literal["caption", "placeholder"]


class ThumbnailSize(StrEnum):
    """The thumbnails that are made of every image. Each fits in a square with a side of `pixels`."""

    SMALL = "small"
    MEDIUM = "medium"

    @property
    def pixels(self) -> int:
        return {ThumbnailSize.SMALL: 128, ThumbnailSize.MEDIUM: 512}[self]


@dataclass(frozen=True)
class Upload:
    """An uploaded file, and the words with which its caption has to begin.

    The name is only shown to clients, and never used as a path.
    """

    original_name: str
    content: bytes
    idempotency_key: str | None = None
    prompt: str = ""


@dataclass(frozen=True)
class ImageMetadata:
    """Facts about the uploaded file. Width and height are in pixels, after EXIF orientation is applied."""

    width: int
    height: int
    format: ImageFormat
    size_bytes: int
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True)
class CaptionModel:
    """The model that wrote a caption: its hub id or name, its revision, and the precision of its weights."""

    id: str
    revision: str
    precision: str


@dataclass(frozen=True)
class ImageRecord:
    """A finished image.

    `thumbnails` maps each size to an S3 key; an old image may lack a size that is new. `caption_prompt` is empty if the
    client gave none. `caption_confidence` is from 0 to 1, and None for images of older versions. `dominant_color` is
    such as "#a9572a", and None for transparent images and those of older versions.
    """

    image_id: str
    original_name: str
    processed_at: datetime
    time_taken: Decimal
    metadata: ImageMetadata
    thumbnails: Mapping[ThumbnailSize, str]
    caption: str
    caption_model: CaptionModel
    caption_prompt: str
    caption_confidence: Decimal | None
    dominant_color: str | None
    sha256: str


@dataclass(frozen=True)
class UnfinishedImage:
    """An image that waits for its file, is being processed, or failed. `error` is None unless it failed."""

    image_id: str
    original_name: str
    error: str | None


@dataclass(frozen=True)
class Statistics:
    """Numbers of successful and failed uploads. The time is the sum over the successful ones, in seconds."""

    success: int
    failure: int
    total_processing_time: Decimal

    @property
    def avg_processing_time(self) -> Decimal:
        return self.total_processing_time / self.success if self.success else Decimal(0)

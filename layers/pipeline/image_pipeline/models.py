"""The data that the pipeline works with: uploads, images, statistics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Literal, Self

# The owner of images that all clients share. Every other owner is a digest of letters and digits (http/owners.py).
SHARED = ""

# What the data of an image also contains if a request has `?details=`.
Detail = Literal["caption", "placeholder", "large", "download"]


class ImageFormat(StrEnum):
    """The formats of files that are accepted. The module of this name in image_processing/formats reads the file.

    A file of the format begins with `signature`. `thumbnail` is the extension of its thumbnails: jpg or png. A PNG
    keeps transparency, and a JPEG is smaller.
    """

    media_type: str
    extensions: tuple[str, ...]
    signature: bytes
    thumbnail: Literal["jpg", "png"]

    JPEG = "JPEG", "image/jpeg", ("jpg", "jpeg"), b"\xff\xd8\xff", "jpg"
    PNG = "PNG", "image/png", ("png",), b"\x89PNG\r\n\x1a\n", "png"

    def __new__(
        cls,
        name: str,
        media_type: str,
        extensions: tuple[str, ...],
        signature: bytes,
        thumbnail: Literal["jpg", "png"],
    ) -> Self:
        row = str.__new__(cls, name)
        row._value_ = name
        row.media_type, row.extensions, row.signature, row.thumbnail = media_type, extensions, signature, thumbnail
        return row


# The media type of each file extension.
MEDIA_TYPES = {extension: row.media_type for row in ImageFormat for extension in row.extensions}


class ThumbnailSize(StrEnum):
    """The sizes of thumbnails. Each fits in a square with a side of `pixels`.

    The sizes that a stack makes, and their sides, are in `thumbnail_sizes.sides`. A size without `pixels` is an
    option of the stack, which decides its side.

    Images that were processed before a size was added have no thumbnail of this size, so it is optional in responses,
    unless `is_in_every_image`.
    """

    pixels: int | None
    is_in_every_image: bool

    SMALL = "small", 128, True
    MEDIUM = "medium", 512, True
    LARGE = "large", None

    def __new__(cls, name: str, pixels: int | None, is_in_every_image: bool = False) -> Self:  # noqa: FBT001, FBT002 - a row
        row = str.__new__(cls, name)
        row._value_ = name
        row.pixels, row.is_in_every_image = pixels, is_in_every_image
        return row

    @property
    def is_option(self) -> bool:
        """Tell whether only some stacks make this size. It is then shown only with `?details=` and its name."""
        return self.pixels is None


# The sizes that every stack makes, and their sides in pixels.
STANDARD_SIZES = {size: size.pixels for size in ThumbnailSize if size.pixels}


def any_of(names: Iterable[str]) -> str:
    """Return "a or b" or "a, b or c"."""
    *first, last = names
    return f"{', '.join(first)} or {last}"


def digest(file_sha256: str, prompt: str) -> str:
    """Return the digest of a file and its prompt. Without a prompt, it is that of the file."""
    return sha256(f"{file_sha256} {prompt}".encode()).hexdigest() if prompt else file_sha256


@dataclass(frozen=True)
class Upload:
    """An uploaded file, and the words with which its caption has to begin.

    The name is only shown to clients, and never used as a path. With `is_unique`, no image is made if the owner has one
    with the same file and prompt.
    """

    original_name: str
    content: bytes
    idempotency_key: str | None = None
    prompt: str = ""
    is_unique: bool = False


@dataclass(frozen=True)
class ImageMetadata:
    """Facts about the uploaded file. Width and height are in pixels, after EXIF orientation is applied.

    `format` is the name of an ImageFormat. While a new version is deployed, it may be a format that this version does
    not know.
    """

    width: int
    height: int
    format: str
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
    client gave none. `caption_confidence` is from 0 to 1, and None for images of older versions. `dominant_color` looks
    like "#a9572a". It is None for transparent images and those of older versions.
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
    owner: str = SHARED

    @property
    def digest(self) -> str:
        return digest(self.sha256, self.caption_prompt)


@dataclass(frozen=True)
class UnfinishedImage:
    """An image that waits for its file, is being processed, or failed. `error` is None unless it failed.

    `is_temporary` means that the pipeline failed, and not because of the file: the image may still succeed.
    """

    image_id: str
    original_name: str
    error: str | None
    is_temporary: bool = False


@dataclass(frozen=True)
class Statistics:
    """Numbers of successful and failed uploads. The time is the sum over the successful ones, in seconds."""

    success: int
    failure: int
    total_processing_time: Decimal

    @property
    def avg_processing_time(self) -> Decimal:
        return self.total_processing_time / self.success if self.success else Decimal(0)

"""The types of the JSON bodies, to the letter of the API's contract; docs/openapi.json is made from them.

Only type checkers and `tools/openapi.py` import this module: it costs the functions nothing.
"""

from typing import Annotated, Literal, NotRequired

from pydantic import Field

# Not typing's: before Python 3.12 it lacks what pydantic makes schemas from.
from typing_extensions import TypedDict

from image_pipeline.models import ImageFormat

Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Url = Annotated[str, Field(json_schema_extra={"format": "uri"})]
RelativeReference = Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]


class Metadata(TypedDict):
    """Facts of the uploaded file."""

    width: int
    """Pixels of the upright image."""
    height: int
    """Pixels of the upright image."""
    format: ImageFormat
    size_bytes: int
    created_at: str
    """EXIF's DateTimeOriginal, else the time of the upload: `YYYY-MM-DD HH:MM:SS`."""
    modified_at: str
    """EXIF's DateTime or PNG's tIME, else the time of the upload: `YYYY-MM-DD HH:MM:SS`."""


class Thumbnails(TypedDict):
    """Presigned URLs, for GET; they expire."""

    small: Url
    """Fits in 128 by 128 pixels."""
    medium: Url
    """Fits in 512 by 512 pixels."""


class ImageData(TypedDict):
    """All that is known of a processed image."""

    image_id: Uuid
    original_name: str
    """The name of the file, without its path and without control characters; `unnamed` if the form has no name."""
    processed_at: Moment
    time_taken: float
    """Seconds."""
    metadata: Metadata
    thumbnails: Thumbnails
    caption: str
    """Written by the caption model, in English."""


class Image(TypedDict):
    """A processed image."""

    image_status: Literal["success"]
    data: ImageData
    error: None


class ImageDetails(TypedDict):
    """A processed image inside the envelope that the other reading routes have."""

    current_status: Literal["success"]
    data: Image


class ImageList(TypedDict):
    """A page of the processed images, newest first."""

    current_status: Literal["success"]
    content: dict[str, Image]
    """By image id."""
    next: NotRequired[RelativeReference]
    """A relative reference to the next page, if there is one. Resolve it against the URL of this request."""


class NoImages(TypedDict):
    """The list as long as there is nothing in it."""

    current_status: Literal["success"]
    data: Literal["No image has been processed yet."]
    error: None


class Thumbnail(TypedDict):
    """Where one thumbnail can be fetched."""

    current_status: Literal["success"]
    data: Url
    """A presigned URL, for GET; it expires."""


class Totals(TypedDict):
    """Counts, and times in seconds."""

    success: int
    failure: int
    """JPEGs and PNGs that could not be processed."""
    total_processing_time: float
    """The sum over all successes."""
    avg_processing_time: float
    """Of a success; 0 when there is none."""


class ProcessingStatistics(TypedDict):
    """What became of the uploads; what is refused before it is decoded is not counted."""

    current_status: Literal["success"]
    data: Totals


class Failure(TypedDict):
    """Every error but one."""

    current_status: Literal["failure"]
    error: str
    """What went wrong, and what to do."""


class ImageMissing(TypedDict):
    """The one error whose shape differs from all others."""

    current_status: Literal["failure"]
    data: str
    error: None

"""The types of the JSON bodies, exactly as the API contract gives them. The OpenAPI document is made from these.

Only type checkers and tools/docs/openapi.py import this module, so functions do not load pydantic.
"""

from typing import TYPE_CHECKING, Annotated, Literal, NotRequired

from pydantic import Field

# pydantic needs this TypedDict before Python 3.12.
from typing_extensions import TypedDict

from image_pipeline.models import STANDARD_SIZES, ImageFormat, ThumbnailSize

Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Url = Annotated[str, Field(json_schema_extra={"format": "uri"})]
RelativeReference = Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]


class Metadata(TypedDict):
    """Facts about the uploaded file."""

    width: int
    """In pixels, after EXIF orientation is applied."""
    height: int
    """In pixels, after EXIF orientation is applied."""
    format: Annotated[str, Field(json_schema_extra={"enum": [*ImageFormat]})]
    size_bytes: int
    created_at: str
    """When the picture was taken, or else the time of the upload: `YYYY-MM-DD HH:MM:SS`."""
    modified_at: str
    """When the file was last changed, or else the time of the upload: `YYYY-MM-DD HH:MM:SS`."""


if TYPE_CHECKING:
    # Type checkers cannot read the sizes from their table.
    Thumbnails = dict[ThumbnailSize, str]
else:
    _URLS = {
        size: Annotated[Url, Field(description=f"Fits in {size.pixels} by {size.pixels} pixels.")]
        for size in STANDARD_SIZES
    }
    Thumbnails = TypedDict(
        "Thumbnails", {size: url if size.is_in_every_image else NotRequired[url] for size, url in _URLS.items()}
    )
    Thumbnails.__doc__ = "Presigned URLs for GET. They expire."


class CaptionDetails(TypedDict):
    """How the caption was made."""

    model: str
    """The hub id or the name of the caption model."""
    revision: str
    precision: str
    """Of the weights of the model."""
    prompt: str | None
    """The words with which the caption had to begin."""
    confidence: Annotated[float, Field(ge=0, le=1)] | None
    """The geometric mean of the probabilities that the model gave to its tokens. Old images have none."""


class Placeholder(TypedDict):
    """What to show in the place of a thumbnail until it is loaded."""

    color: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]
    """The dominant colour, as in CSS."""


class Download(TypedDict):
    """The best file of the image that there is."""

    kind: Literal["original", "thumbnail"]
    """The uploaded file, if the API keeps it, or else the largest thumbnail."""
    url: Url
    """A presigned URL for GET. It expires. A browser stores the file under its original name."""


class ImageData(TypedDict):
    """The data of a processed image."""

    image_id: Uuid
    original_name: str
    """The name of the file without its path and without control characters, or `unnamed`."""
    processed_at: Moment
    time_taken: float
    """Seconds."""
    metadata: Metadata
    thumbnails: Thumbnails
    caption: str
    """A description in English, written by the caption model."""
    caption_details: NotRequired[CaptionDetails]
    """Only with `?details=caption`."""
    placeholder: NotRequired[Placeholder | None]
    """Only with `?details=placeholder`. Transparent images and old images have none."""
    download: NotRequired[Download | None]
    """Only with `?details=download`, which only the route of one image has. Null if S3 does not respond."""


class Image(TypedDict):
    """A processed image."""

    image_status: Literal["success"]
    data: ImageData
    error: None


class UnfinishedData(TypedDict):
    """The data of an image that is not finished."""

    image_id: Uuid
    original_name: str


class ProcessingImage(TypedDict):
    """An image that waits for its file or is being processed."""

    image_status: Literal["processing"]
    data: UnfinishedData
    error: None


class FailedImage(TypedDict):
    """An image that could not be processed."""

    image_status: Literal["failure"]
    data: UnfinishedData
    error: str
    """Why it failed, and what to do."""
    temporary: NotRequired[Literal[True]]
    """The pipeline failed, and not because of the file: the same file may succeed. This image may still succeed."""


AnyImage = Image | ProcessingImage | FailedImage


class ImageDetails(TypedDict):
    """An image in any state, inside the outer object that all reading routes use."""

    current_status: Literal["success"]
    data: AnyImage


class CheckedImages(TypedDict):
    """The images that exist among the ids of the request, in any state, and the ids that have no image.

    And, if the request has digests, which of these files are known.
    """

    current_status: Literal["success"]
    content: dict[str, AnyImage]
    """By image id, in the order of the request."""
    missing: list[Uuid]
    """The ids of unknown, deleted and expired images, in the order of the request."""
    known: NotRequired[dict[str, Uuid]]
    """The image ids of the known files, by digest. Only if the request has `sha256`."""


class ImageDeleted(TypedDict):
    """The image is deleted."""

    current_status: Literal["success"]
    data: Literal["Image deleted."]
    error: None


class UploadForm(TypedDict):
    """A form for S3: send all fields, and then the file in the field `file`, as multipart/form-data."""

    url: Url
    fields: dict[str, str]


class UploadTarget(TypedDict):
    """Where to send the file of a direct upload."""

    image_id: Uuid
    upload: UploadForm
    expires_at: Moment
    """After this time S3 refuses the file."""
    max_bytes: int
    """The largest file that S3 accepts."""
    status_url: RelativeReference
    """The image. Resolve it against the URL of this request."""


class RequestedUpload(TypedDict):
    """A direct upload, ready for its file."""

    current_status: Literal["success"]
    data: UploadTarget


class ImageList(TypedDict):
    """A page of the processed images, newest first. A page of a search may be empty and still have a next page."""

    current_status: Literal["success"]
    content: dict[str, Image]
    """By image id."""
    next: NotRequired[RelativeReference]
    """A relative reference to the next page. Resolve it against the URL of this request. The last page has none."""


class NoImages(TypedDict):
    """The list when there are no images, or when none matches the search."""

    current_status: Literal["success"]
    data: Literal["No image has been processed yet.", "No image matches."]
    error: None


class Thumbnail(TypedDict):
    """The URL of one thumbnail."""

    current_status: Literal["success"]
    data: Url
    """A presigned URL for GET. It expires."""


class Totals(TypedDict):
    """Numbers of uploads, and times in seconds."""

    success: int
    failure: int
    """Files of an accepted format that could not be processed."""
    total_processing_time: float
    """The sum over all successful uploads."""
    avg_processing_time: float
    """The mean over all successful uploads, or 0 if there are none."""


class ProcessingStatistics(TypedDict):
    """How uploads ended. An upload that is refused before decoding is not counted."""

    current_status: Literal["success"]
    data: Totals


class Failure(TypedDict):
    """An error. All errors have this shape, except for ImageMissing."""

    current_status: Literal["failure"]
    error: str
    """What went wrong and what to do."""


class ImageMissing(TypedDict):
    """The error for an unknown image id."""

    current_status: Literal["failure"]
    data: str
    error: None

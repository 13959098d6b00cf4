"""The errors that clients are told about. Their messages are written for clients.

http/handler.py gives each class its status code.
"""

from collections.abc import Iterable

from image_pipeline.models import ImageFormat, ThumbnailSize, any_of

# The formats as messages name them: by their usual file extensions, such as JPG.
ACCEPTED_FILES = any_of(row.extensions[0].upper() for row in ImageFormat)

# The message for everything that has no error class.
UNEXPECTED = "The request could not be processed. Please try again."

# Why a direct upload failed, if no attempt found a fault of its file.
ATTEMPTS_FAILED = "The image could not be processed, even after several attempts. Please upload it again."


class PipelineError(Exception):
    """Base class of these errors. `message` is used when none is given."""

    message = ""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


class InvalidRequestError(PipelineError):
    """The body, a form field, a header or a parameter of the request is malformed."""


class InvalidThumbnailSizeError(PipelineError):
    """There is no thumbnail size with this name."""

    @classmethod
    def expecting(cls, sizes: Iterable[ThumbnailSize]) -> "InvalidThumbnailSizeError":
        """Return the error that names the sizes of the stack."""
        names = any_of(f"'{size}'" for size in sizes)
        return cls(f"Invalid input size. Please use {names}.")


class UnsupportedImageError(PipelineError):
    """The file is in no accepted format, or it is a kind of its format that cannot be decoded."""

    message = f"Unsupported image file. Only accepts {ACCEPTED_FILES} files. Please try again."

    @classmethod
    def of_kind(cls, kind: str) -> "UnsupportedImageError":
        """Return the error for an intact file whose `kind`, such as "JPEG-LS", cannot be decoded."""
        return cls(
            f"This kind of image is not supported: {kind}. Please save it as an ordinary JPG or PNG and send that."
        )


class ImageTooLargeError(PipelineError):
    """The file has too many bytes, or the image has too many pixels or costs too much to decode."""


class UndecodableImageError(PipelineError):
    """The file begins like an accepted format but cannot be decoded."""

    message = "The image is damaged or incomplete and cannot be decoded. Please send the whole file again."


class FileNotUploadedError(PipelineError):
    """The file of a direct upload is not in the bucket any more."""

    message = "The uploaded file was removed before it was processed. Please upload it again."


class RequestRunningError(PipelineError):
    """An earlier request with the same Idempotency-Key is still being processed."""

    message = "A request with this Idempotency-Key is still being processed. Please try again in a moment."


class RequestKeyReusedError(PipelineError):
    """The Idempotency-Key was used for another file or prompt before."""

    message = "This Idempotency-Key was used for another file or prompt. Please use a new key for each upload."


class OwnerLimitError(PipelineError):
    """The owner has reached a limit of the stack. Base class."""


class ImageLimitError(OwnerLimitError):
    """The owner has as many images as the stack allows."""

    @classmethod
    def of(cls, limit: int) -> "ImageLimitError":
        """Return the error that names the limit."""
        return cls(f"You have reached the limit of {limit:,} images. Please delete images that you do not need.")


class DailyLimitError(OwnerLimitError):
    """The owner has uploaded as many images today as the stack allows. `seconds` are left of the day."""

    seconds = 0.0

    @classmethod
    def of(cls, limit: int, seconds: float) -> "DailyLimitError":
        """Return the error that names the limit. The day ends in `seconds`."""
        error = cls(f"You have reached the limit of {limit:,} uploads per day. Please try again after midnight UTC.")
        error.seconds = seconds
        return error


class ImageNotFoundError(PipelineError):
    """No finished image has this id."""

    message = "Image does not exist. Please view another one."


class ThumbnailNotFoundError(PipelineError):
    """No finished image has this id, or the image has no thumbnail of this size."""

    message = "Thumbnail not found."


class CaptionError(PipelineError):
    """The caption engine failed, or wrote nothing, on an image that was decoded without error."""

    message = "The image could not be captioned. Please try again."


class StorageError(PipelineError):
    """DynamoDB or S3 failed or did not respond. Trying again may help."""

    message = "The image store is not available at the moment. Please try again."


class RefusedError(StorageError):
    """DynamoDB will refuse this request for ever, for example because a key is too long."""

    message = "The request cannot be stored. Please change it, because trying again does not help."


class DeadlineError(PipelineError):
    """The time that is left is too short for the next step."""

    message = "The request took too long. Please try again."


class ServiceStartingError(PipelineError):
    """A new environment of the function took so long to start that no time was left for the request."""

    message = "The service is starting. Please try again in a moment."


def is_fault(error: Exception) -> bool:
    """Tell whether an error is our fault, and not caused by the file, the request or the start of an environment.

    Such an error can roll back a new version of the upload function.
    """
    return not isinstance(error, PipelineError) or isinstance(error, (CaptionError, StorageError, DeadlineError))

"""What can go wrong, by name; every message is written for the client who reads it."""


class PipelineError(Exception):
    """Base of all errors that a client is told about; `message` is the default of a subclass."""

    message = ""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


class InvalidRequestError(PipelineError):
    """The request itself is malformed: body, form field, parameter."""


class InvalidThumbnailSizeError(PipelineError):
    """A thumbnail size other than those made."""

    message = "Invalid input size. Please use 'small' or 'medium'."


class UnsupportedImageError(PipelineError):
    """The content is neither JPEG nor PNG, or of a kind of them that cannot be decoded."""

    message = "Unsupported image file. Only accepts JPG or PNG files. Please try again."

    @classmethod
    def of_kind(cls, kind: str) -> "UnsupportedImageError":
        """Return the error for a well-formed JPEG or PNG of a `kind` that cannot be decoded, such as "JPEG-LS"."""
        return cls(
            f"This kind of image is not supported: {kind}. Please save it as an ordinary JPG or PNG and send that."
        )


class ImageTooLargeError(PipelineError):
    """The file has more bytes, or the image more pixels, than the pipeline takes."""


class UndecodableImageError(PipelineError):
    """A JPEG or PNG by its first bytes that cannot be decoded."""

    message = "The image is damaged or incomplete and cannot be decoded. Please send the whole file again."


class RequestRunningError(PipelineError):
    """An earlier request with the same Idempotency-Key is still being processed."""

    message = "A request with this Idempotency-Key is still being processed. Please try again in a moment."


class RequestKeyReusedError(PipelineError):
    """The Idempotency-Key came with another file before."""

    message = "This Idempotency-Key was used for another file. Please use a new key for each file."


class ImageNotFoundError(PipelineError):
    """No finished image has this id."""

    message = "Image does not exist. Please view another one."


class ThumbnailNotFoundError(PipelineError):
    """No finished image has this id, asked for by one of its thumbnails."""

    message = "Thumbnail not found."


class CaptionError(PipelineError):
    """The caption engine failed on an image that decodes well."""

    message = "The image could not be captioned. Please try again."


class StorageError(PipelineError):
    """A storage service did not answer as it should; trying again may help."""

    message = "The image store is not available at the moment. Please try again."


class DeadlineError(PipelineError):
    """There is not enough time left for what comes next."""

    message = "The request took too long. Please try again."

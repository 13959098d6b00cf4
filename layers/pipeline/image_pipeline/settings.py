"""Every setting that the functions read from their environment; template.yaml sets each of them."""

import os


class SettingError(Exception):
    """A setting is missing or not usable; the message names it for the log, a client sees a plain 500."""


def table_name() -> str:
    """Return the DynamoDB table's name."""
    return _text("TABLE_NAME")


def bucket_name() -> str:
    """Return the name of the S3 bucket that holds the thumbnails."""
    return _text("BUCKET_NAME")


def thumbnails_url() -> str:
    """Return the bucket's URL, below which each thumbnail has its key."""
    return _text("THUMBNAILS_URL")


def model_path() -> str:
    """Return the folder of the exported caption model."""
    return _text("MODEL_PATH")


def cursor_key() -> bytes:
    """Return the key that signs the cursors of the list."""
    return _text("CURSOR_KEY").encode()


def url_expiry_seconds() -> int:
    """Return how long a presigned URL lives. At most an hour: it dies with the role's credentials anyway."""
    return _number("URL_EXPIRY_SECONDS", 1, 3600)


def gateway_timeout_seconds() -> int:
    """Return how long API Gateway waits for an answer: 29 s, or up to 300 s with a higher quota."""
    return _number("GATEWAY_TIMEOUT_SECONDS", 15, 300)


def is_sam_local() -> bool:
    """Tell whether SAM's local gateway calls the function: it sets this variable, and Lambda never does."""
    return "AWS_SAM_LOCAL" in os.environ


def max_upload_bytes() -> int:
    """Return the largest file taken, in bytes. Base64 in a 6 MB Lambda event leaves 4.5 MB."""
    return _number("MAX_UPLOAD_BYTES", 1, 4_500_000)


def max_image_pixels() -> int:
    """Return the largest image taken, in pixels. More than 89 million need more memory than the function may have."""
    return _number("MAX_IMAGE_PIXELS", 1, 89_000_000)


def max_caption_tokens() -> int:
    """Return how many tokens a caption may have."""
    return _number("MAX_CAPTION_TOKENS", 1, 100)


def max_caption_repeats() -> int:
    """Return how often a phrase may stand in a row in a caption before it counts as a loop; 0 lets loops run."""
    return _number("MAX_CAPTION_REPEATS", 0, 10)


def _text(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SettingError(f"the environment variable {name} is not set")
    return value


def _number(name: str, low: int, high: int) -> int:
    value = _text(name)
    if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
        raise SettingError(f"the environment variable {name} must be a whole number from {low} to {high}")
    return int(value)

"""The settings of the functions. Each is an environment variable that template.yaml sets."""

import os

# The logical id of the table in template.yaml. sam local sets it as the name, because it cannot resolve references.
TABLE_IN_TEMPLATE = "ImagesTable"

# The exporter refuses models that cannot write this many tokens.
MAX_CAPTION_TOKENS = 100


class SettingError(Exception):
    """A setting is missing or invalid. The log names the setting; a client only sees a status of 500."""


def table_name() -> str:
    """Return the name of the DynamoDB table. Raises SettingError under `sam local` without a table."""
    name = _text("TABLE_NAME")
    if is_sam_local() and name == TABLE_IN_TEMPLATE:
        raise SettingError(
            "sam local has no DynamoDB table and no S3 bucket. `make local` starts them; to use those of a deployment, "
            "name them in a file for --env-vars, as events/env.local.json does"
        )
    return name


def bucket_name() -> str:
    """Return the name of the S3 bucket for thumbnails."""
    return _text("BUCKET_NAME")


def thumbnails_url() -> str:
    """Return the URL of the bucket for thumbnails. A thumbnail's URL is this URL, a slash and its S3 key."""
    return _text("THUMBNAILS_URL")


def uploads_bucket() -> str:
    """Return the name of the S3 bucket for the files of direct uploads and for kept files."""
    return _text("UPLOADS_BUCKET")


def uploads_url() -> str:
    """Return the URL of the bucket for the files of direct uploads and for kept files."""
    return _text("UPLOADS_URL")


def upload_version_arn() -> str:
    """Return the ARN of the newest version of the upload function."""
    return _text("UPLOAD_VERSION_ARN")


def leftovers_queue_url() -> str:
    """Return the URL of the SQS queue of images whose files are still to be deleted."""
    return _text("LEFTOVERS_QUEUE_URL")


def uploads_queue_url() -> str:
    """Return the URL of the SQS queue of the worker."""
    return _text("UPLOADS_QUEUE_URL")


def model_path() -> str:
    """Return the path of the folder that holds the exported caption model."""
    return _text("MODEL_PATH")


def url_expiry_seconds() -> int:
    """Return how long a presigned URL is valid. At most one hour, because the role's credentials may end then."""
    return _number("URL_EXPIRY_SECONDS", 1, 3600)


def gateway_timeout_seconds() -> int:
    """Return how long API Gateway waits for a response: 29 s, or up to 300 s if the account's quota was raised."""
    return _number("GATEWAY_TIMEOUT_SECONDS", 15, 300)


def allowed_origins() -> list[str]:
    """Return the origins whose pages may use the API, such as https://app.example. `*` stands for all origins."""
    return [origin for origin in _optional("ALLOWED_ORIGINS").split(",") if origin]


def max_concurrent_waits() -> int:
    """Return how many requests may wait for the end of a processing at the same time."""
    return _number("MAX_CONCURRENT_WAITS", 1, 10_000)


def api_auth() -> str:
    """Return the kind of credentials that the API checks: NONE, API_KEY, AWS_IAM or JWT."""
    return _text("API_AUTH")


def belong_to_callers() -> bool:
    """Tell whether images belong to who uploaded them. Otherwise all clients share them."""
    return _choice("OWNERS", "shared", "caller") == "caller"


def owner_claim() -> str:
    """Return the claim of a token that names the owner of images."""
    return _text("OWNER_CLAIM")


def jwt_issuer() -> str:
    """Return the issuer of the tokens, spelled as in their claim `iss`. It is an https URL."""
    return _text("JWT_ISSUER")


def jwt_audiences() -> list[str]:
    """Return the accepted audiences. A token must name at least one of them."""
    return [audience.strip() for audience in _text("JWT_AUDIENCE").split(",")]


def jwt_discovery_url() -> str:
    """Return the address of the discovery document. Empty means the address that the standard derives."""
    return _optional("JWT_DISCOVERY_URL")


def jwt_max_key_age_hours() -> int:
    """Return how long the public keys of the issuer are used while they cannot be read again."""
    return _number("JWT_MAX_KEY_AGE_HOURS", 1, 168)


def is_sam_local() -> bool:
    """Tell whether the function runs under `sam local`, which sets this variable. Lambda never sets it."""
    return "AWS_SAM_LOCAL" in os.environ


def max_upload_bytes() -> int:
    """Return the largest accepted file size. A Lambda event of 6 MB holds 4.5 MB of file as base64."""
    return _number("MAX_UPLOAD_BYTES", 1, 4_500_000)


def max_direct_upload_bytes() -> int:
    """Return the largest accepted file size of a direct upload. The worker has the whole file in memory."""
    return _number("MAX_DIRECT_UPLOAD_BYTES", 1, 200_000_000)


def retention_days() -> int:
    """Return after how many days an image is deleted. 0 means never."""
    return _number("RETENTION_DAYS", 0, 36_500)


def finds_duplicates() -> bool:
    """Tell whether the table remembers which image has which file."""
    return _choice("DUPLICATES", "keep", "find") == "find"


def owner_max_images() -> int:
    """Return how many images an owner may have. 0 means no limit."""
    return _number("OWNER_MAX_IMAGES", 0, 1_000_000)


def owner_daily_uploads() -> int:
    """Return how many images an owner may upload in a day. 0 means no limit."""
    return _number("OWNER_DAILY_UPLOADS", 0, 100_000)


def keep_originals() -> bool:
    """Tell whether uploaded files are kept after they are processed. The bucket deletes them after some days."""
    return _number("KEEP_ORIGINALS_DAYS", 0, 36_500) > 0


def max_image_pixels() -> int:
    """Return the largest accepted number of pixels. Above 89 million pixels, decoding needs too much memory."""
    return _number("MAX_IMAGE_PIXELS", 1, 89_000_000)


def max_direct_image_pixels() -> int:
    """Return the largest accepted number of pixels of a direct upload."""
    return _number("MAX_DIRECT_IMAGE_PIXELS", 1, 250_000_000)


def large_thumbnail() -> int:
    """Return the longer side of the large thumbnail in pixels. 0 means that there is none."""
    return _number("LARGE_THUMBNAIL", 0, 2560)


def max_caption_tokens() -> int:
    """Return the largest number of tokens in a caption."""
    return _number("MAX_CAPTION_TOKENS", 1, MAX_CAPTION_TOKENS)


def max_caption_repeats() -> int:
    """Return how many times in a row a caption may repeat a phrase. 0 means no limit."""
    return _number("MAX_CAPTION_REPEATS", 0, 10)


def _text(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SettingError(f"the environment variable {name} is not set")
    return value


def _optional(name: str) -> str:
    return os.environ.get(name, "")


def _choice(name: str, *choices: str) -> str:
    value = _text(name)
    if value not in choices:
        raise SettingError(f"the environment variable {name} must be one of {', '.join(choices)}")
    return value


def _number(name: str, low: int, high: int) -> int:
    value = _text(name)
    if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
        raise SettingError(f"the environment variable {name} must be a whole number from {low} to {high}")
    return int(value)

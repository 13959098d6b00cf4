"""Cross-origin resource sharing (CORS): which pages of other origins may use the API, and how."""

from image_pipeline import settings
from image_pipeline.http import requests

_METHODS = "GET, HEAD, POST, DELETE"
# Those that begin with X-Amz belong to a signature of AWS.
_REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, X-Api-Key, X-Amz-Content-Sha256, X-Amz-Date, X-Amz-Security-Token"
)
_EXPOSED_HEADERS = "Duplicate-Of, Location, Retry-After"
_PREFLIGHT_SECONDS = "3600"


def headers(event: requests.Event) -> dict[str, str]:
    """Return the headers that let a page of an allowed origin read the response."""
    origins = settings.allowed_origins()
    if not origins:
        return {}
    # The response depends on the origin, whether it is allowed or not.
    varying = {"Vary": "Origin"}
    origin = requests.header(event, "origin")
    if origin is None or not {origin, "*"} & set(origins):
        return varying
    return varying | {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED_HEADERS}


def preflight_headers(event: requests.Event) -> dict[str, str]:
    """Return the headers of the response to a preflight request."""
    allowed = headers(event)
    if "Access-Control-Allow-Origin" in allowed:
        allowed |= {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _REQUEST_HEADERS,
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        }
    return allowed

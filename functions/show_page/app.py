"""GET /, GET /docs and GET /openapi.json: the gallery, the reference of the API, and its description.

The gallery is served as one HTML file with its style and its script, so it needs no other request and works under any
path. The reference is Swagger UI, which comes with Powertools.
"""

import json
import re
from base64 import b64encode
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aws_lambda_powertools

from image_pipeline import settings, thumbnail_sizes
from image_pipeline.errors import ACCEPTED_FILES, InvalidThumbnailSizeError
from image_pipeline.http import owners
from image_pipeline.http.requests import Event
from image_pipeline.models import ImageFormat, ThumbnailSize
from image_pipeline.observability import logger

_HERE = Path(__file__).parent
_GALLERY = _HERE / "gallery"
# The parts of the script of the gallery, one for each subject. They are served as one module, in this order.
_SCRIPTS = [
    "words",
    "access",
    "requests",
    "list",
    "address",
    "viewer",
    "zoom",
    "deletion",
    "selection",
    "files",
    "uploads",
    "page",
]
# Quotes that HTML does not need.
_QUOTES = re.compile(r'(?<==)"([\w-]+)"')
# Spaces that the script does not need: all around these characters, if they are not inside a string or a regular
# expression. All statements of the script end with a semicolon, so line breaks can go too.
_SCRIPT_SPACES = re.compile(
    r"""("(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`|/(?! )(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n])+/)"""
    r"""|\s*(?:;\s*(?=})|,\s*(?=[])}]))"""  # after the last statement or element
    r"""|\s*([](){}[=<>?:,;&|*!]|[-+/](?= (?![-+])))\s*"""
)
# A number with a name in capitals is a constant. One statement can declare it and the next one.
_SCRIPT_CONSTANTS = re.compile(r"(\b[A-Z_]+=[\d.]+);const (?=[A-Z_]+=[\d.]+;)")
# Parentheses around one parameter. Not after "async", because the space between them is gone.
_SCRIPT_PARAMETER = re.compile(r"(?<!\w)\((\w+)\)(?==>)")
# Comments and spaces that a style does not need. The spaces around the operators of calc() stay.
_CSS_SPACES = re.compile(r"/\*.*?\*/|;?\s*(})\s*|\s*([{;,])\s*|(?<=:) ")
# Comments of the script: lines of their own, docstrings, and the ends of lines.
_COMMENTS = re.compile(r"^\s*//.*\n|^\s*/\*\*(?s:.*?)\*/\n|(?<=[;{,]) //.*$", re.MULTILINE)
_SWAGGER_UI = Path(aws_lambda_powertools.__file__).parent / "event_handler" / "openapi" / "swagger_ui"
# The files of the reference, with their media types.
_FILES = {
    "swagger-ui-bundle.min.js": (_SWAGGER_UI, "text/javascript"),
    "swagger-ui.min.css": (_SWAGGER_UI, "text/css"),
    "docs.js": (_HERE, "text/javascript"),
}

# The OpenAPI security scheme for each value of ApiAuth, and how API Gateway refuses a request without it.
_SCHEMES = {
    "API_KEY": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "JWT": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "AWS_IAM": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "AWS Signature Version 4"},
}
_REFUSALS = {
    "API_KEY": (HTTPStatus.FORBIDDEN, "The API key is missing or not valid."),
    "JWT": (HTTPStatus.UNAUTHORIZED, "The token is missing or not valid."),
    "AWS_IAM": (HTTPStatus.FORBIDDEN, "The signature is missing or not valid, or a policy does not allow the request."),
}

Response = dict[str, Any]


@logger.inject_lambda_context
def lambda_handler(event: Event, context: object) -> Response:  # noqa: ARG001 - Lambda passes both
    match event["resource"]:
        case "/":
            return _gallery(owned=owners.are_callers(event))
        case "/docs":
            return _docs()
        case "/openapi.json":
            return _response(json.dumps(_document()), "application/json")
        case _:
            return _file(event["pathParameters"]["file"])


def _gallery(*, owned: bool) -> Response:
    html = _QUOTES.sub(r"\1", _compact((_GALLERY / "page.html").read_text()).replace(">\n<", "><"))
    style = _CSS_SPACES.sub(r"\1\2", (_GALLERY / "style.css").read_text())
    script = compact_script("\n".join((_GALLERY / f"{name}.js").read_text() for name in _SCRIPTS))
    values = {
        "style": style,
        "script": script,
        "accepted_files": ACCEPTED_FILES,
        "media_types": ",".join(row.media_type for row in ImageFormat),
        "signatures": ",".join(row.signature.hex() for row in ImageFormat),
        "api_auth": settings.api_auth(),
        "whose": "<p>Your images only</p>" if owned else "",
        "max_upload_bytes": str(settings.max_upload_bytes()),
        "max_direct_upload_bytes": str(settings.max_direct_upload_bytes()),
        "large_thumbnail": str(settings.large_thumbnail()),
        "max_direct_upload": f"{settings.max_direct_upload_bytes() / 1_000_000:g} MB",
    }
    for name, value in values.items():
        html = html.replace(f"{{{{{name}}}}}", value)
    policy = {
        "default-src": "'none'",
        "style-src": _digest(style),
        "script-src": _digest(script),
        "img-src": f"data: {_origin(settings.thumbnails_url())}",
        "connect-src": f"'self' {_origin(settings.uploads_url())}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return _response(html, "text/html", policy)


def _document() -> dict[str, Any]:
    """Return the OpenAPI document, with the optional thumbnails and the security scheme of this stack."""
    document: dict[str, Any] = json.loads((_HERE / "openapi.json").read_text())
    for size, side in thumbnail_sizes.sides().items():
        if size.is_option:
            _add_thumbnail(document, size, side)
    if settings.api_auth() in _SCHEMES:
        document["components"]["securitySchemes"] = {"client": _SCHEMES[settings.api_auth()]}
        document["security"] = [{"client": []}]
        status, description = _REFUSALS[settings.api_auth()]
        for operation in (operation for path in document["paths"].values() for operation in path.values()):
            operation["responses"][str(int(status))] = {
                "description": description,
                "headers": {"Cache-Control": {"$ref": "#/components/headers/Cache-Control"}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
            }
    return document


def _add_thumbnail(document: dict[str, Any], size: ThumbnailSize, side: int) -> None:
    """Describe a size that not every stack makes, and the value of `?details=` that shows it."""
    schemas = document["components"]["schemas"]
    schemas["ThumbnailSize"]["enum"].append(size)
    described = {
        "description": f"Fits in {side} by {side} pixels. Only with `?details={size}`, and not in every image."
    }
    schemas["Thumbnails"]["properties"][size] = schemas["Thumbnails"]["properties"][ThumbnailSize.MEDIUM] | described
    for details in (schemas["Details"], schemas["DetailsOfOneImage"]):
        details["enum"] += [*(f"{combined},{size}" for combined in details["enum"]), size]
        details["description"] = f"`{size}` adds the URL of the {size} thumbnail."
    refused = document["paths"]["/api/images/{image_id}/thumbnails/{size}"]["get"]["responses"]["400"]
    error = InvalidThumbnailSizeError.expecting(thumbnail_sizes.sides())
    refused["content"]["application/json"]["examples"]["InvalidThumbnailSizeError"]["value"]["error"] = str(error)


def _docs() -> Response:
    policy = {
        "default-src": "'none'",
        "style-src": "'self' 'unsafe-inline'",  # Swagger UI sets style attributes
        "script-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return _response((_HERE / "docs.html").read_text(), "text/html", policy)


def _file(name: str) -> Response:
    if name not in _FILES:
        return _response("This file does not exist.\n", "text/plain", status=HTTPStatus.NOT_FOUND)
    folder, media_type = _FILES[name]
    return _response((folder / name).read_text(), media_type)


def _response(
    body: str, media_type: str, policy: dict[str, str] | None = None, status: HTTPStatus = HTTPStatus.OK
) -> Response:
    headers = {
        "Content-Type": f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type,
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    if policy:
        headers["Content-Security-Policy"] = "; ".join(f"{name} {sources}" for name, sources in policy.items())
    return {"statusCode": int(status), "headers": headers, "body": body, "isBase64Encoded": False}


def _compact(source: str) -> str:
    """Return a source without its comments and its indentation."""
    return re.sub(r"^\s+", "", _COMMENTS.sub("", source), flags=re.MULTILINE)


def compact_script(source: str) -> str:
    """Return a script without its comments, and without what else has no meaning."""
    compact = _SCRIPT_SPACES.sub(r"\1\2", _compact(source))
    return _SCRIPT_PARAMETER.sub(r"\1", _SCRIPT_CONSTANTS.sub(r"\1,", compact))


def _digest(inline: str) -> str:
    """Return the CSP source that allows this inline style or script."""
    return f"'sha256-{b64encode(sha256(inline.encode()).digest()).decode()}'"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

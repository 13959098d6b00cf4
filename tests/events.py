"""API Gateway events: those in `events/`, and uploads made from them."""

import json
from base64 import b64encode
from pathlib import Path
from types import ModuleType
from typing import Any

from tools.local.gateway import LocalContext

EVENTS = Path(__file__).parent.parent / "events"
BOUNDARY = "----TestBoundary"


def load_event(name: str, **query: str | None) -> dict[str, Any]:
    """Return an event of `events/`. If query parameters are given, they replace those of the event."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_bytes())
    return event | {"queryStringParameters": query} if query else event


def send(app: ModuleType, event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Call the handler of an API function. Return the status and the parsed body of the response."""
    response = app.lambda_handler(event, LocalContext(app.__name__))
    return response["statusCode"], json.loads(response["body"])


def upload_event(content: bytes, filename: str = "image.png", prompt: str | None = None) -> dict[str, Any]:
    """Return the event of an upload. The body is in base64, as API Gateway sends it."""
    fields = [] if prompt is None else [text_part(prompt.encode(), "prompt")]
    return form_event(file_part(content, filename), *fields)


def form_event(*parts: bytes) -> dict[str, Any]:
    """Return the event of a POST request whose form consists of `parts`."""
    event = load_event("upload_image_png")
    event["headers"]["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
    event["body"] = b64encode(b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()).decode()
    return event


def file_part(content: bytes, filename: str, field: str = "file") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n\r\n'
    return head.encode() + content + b"\r\n"


def text_part(content: bytes, field: str) -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n'.encode() + content + b"\r\n"

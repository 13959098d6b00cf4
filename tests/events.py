"""API Gateway events: those in `events/`, and uploads made from them."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parent.parent / "events"
BOUNDARY = "----TestBoundary"


def load_event(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_bytes())
    return event


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

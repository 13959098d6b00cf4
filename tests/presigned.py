"""Presigned URLs in bodies of responses."""

from typing import Any


def without_signatures(body: Any) -> Any:
    """Return a body whose presigned URLs have no query. Their signature depends on the second."""
    if isinstance(body, dict):
        return {name: without_signatures(value) for name, value in body.items()}
    return body.partition("?")[0] if isinstance(body, str) else body

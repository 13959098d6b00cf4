"""Checks responses against functions/show_page/openapi.json."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from jsonschema import Draft202012Validator

_DOCUMENT = Path(__file__).parents[2] / "functions" / "show_page" / "openapi.json"


def described(response: requests.Response, base_url: str) -> requests.Response:
    """Return the response. Assert that functions/show_page/openapi.json describes its status, body and headers.

    A response of a route that the document does not have is not checked.
    """
    document = _document()
    path = urlsplit(response.url).path.removeprefix(urlsplit(base_url).path)
    method = str(response.request.method).lower()
    # A path without parameters comes first, even if it lacks the method: /api/images/check is no image.
    paths = {path: document["paths"][path]} if path in document["paths"] else document["paths"]
    for template, operations in paths.items():
        if method in operations and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            description = operations[method]["responses"].get(str(response.status_code))
            assert description, f"{method} {template} does not describe {response.status_code}: {response.text}"
            description = _resolve(description)
            schema = description["content"]["application/json"]["schema"]
            Draft202012Validator({**schema, "components": document["components"]}).validate(response.json())
            required = {name for name, header in description["headers"].items() if _resolve(header).get("required")}
            assert all(name in response.headers for name in required)
    return response


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_DOCUMENT.read_bytes())
    # Clients must accept fields that are added later. Here a field without a description is an error.
    for schema in document["components"]["schemas"].values():
        schema["additionalProperties"] = False
    return document


def _resolve(description: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in description:
        return description
    found = _document()
    for part in description["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found

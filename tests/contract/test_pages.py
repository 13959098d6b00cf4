"""The HTML pages and the OpenAPI document. tests/browser uses the pages in a browser."""

import pytest
import requests

from tests.contract.client import TIMEOUT_SECONDS, Client


@pytest.mark.parametrize(
    ("path", "media_type", "part"),
    [
        ("/", "text/html; charset=utf-8", "<title>Gallery · "),
        ("/docs", "text/html; charset=utf-8", "swagger-ui-bundle.min.js"),
        ("/docs/swagger-ui-bundle.min.js", "text/javascript; charset=utf-8", "SwaggerUIBundle"),
        ("/docs/swagger-ui.min.css", "text/css; charset=utf-8", ".swagger-ui"),
        ("/docs/docs.js", "text/javascript; charset=utf-8", "openapi.json"),
        ("/openapi.json", "application/json", '"openapi": "3.1.0"'),
    ],
)
def test_each_page_has_its_media_type(api: Client, path: str, media_type: str, part: str) -> None:
    response = requests.get(f"{api.url}{path}", timeout=TIMEOUT_SECONDS)
    assert (response.status_code, response.headers["Content-Type"]) == (200, media_type)
    assert part in response.text
    head = requests.head(f"{api.url}{path}", timeout=TIMEOUT_SECONDS)
    assert (head.status_code, head.headers["Content-Type"], head.content) == (200, media_type, b"")

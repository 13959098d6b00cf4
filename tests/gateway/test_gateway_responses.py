"""Unknown routes, and bodies that are not forms. `sam local` does not emulate how API Gateway treats them.

The tests use the API at API_URL, such as a deployed stack, or otherwise the local API.
"""

import pytest
import requests

from tests.contract.client import TIMEOUT_SECONDS, Client
from tests.contract.refusals import HINT, refusal
from tests.pictures import scene_png


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api"),
        ("GET", "/api/nothing"),
        ("GET", "/api/images/x/thumbnails"),
        ("GET", "/api/images/x/thumbnails/small/more"),
        ("PUT", "/api/images"),
        ("PATCH", "/api/images/x"),
        # API Gateway chooses the path before the method, so this is not GET /api/images/{image_id}.
        ("GET", "/api/images/check"),
        ("DELETE", "/api/images/check"),
        ("POST", "/api/stats"),
    ],
)
def test_an_unknown_route_is_not_found(api: Client, method: str, path: str) -> None:
    response = requests.request(method, f"{api.url}{path}", timeout=TIMEOUT_SECONDS)
    assert refusal(response) == (404, "This route does not exist. The page /docs lists all routes.")


@pytest.mark.parametrize("path", ["/api", "/api/images/x/thumbnails", "/api/images/check"])
def test_head_of_an_unknown_route_is_not_found(api: Client, path: str) -> None:
    response = requests.head(f"{api.url}{path}", timeout=TIMEOUT_SECONDS)
    assert (response.status_code, response.content) == (404, b"")
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "media_type",
    ["image/jpeg", "image/png", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain", None],
)
def test_an_image_outside_a_form_is_refused_by_the_function(api: Client, media_type: str | None) -> None:
    assert refusal(api.post(scene_png(), media_type)) == (400, f"The request is not multipart/form-data. {HINT}")

"""Pages of other origins, with the local API and its buckets."""

from collections.abc import Iterator

import pytest
import requests

from tests.contract.client import TIMEOUT_SECONDS, Client
from tests.pictures import scene_png
from tools.local import server

PAGE, OTHER = "https://app.example", "https://other.example"
ALLOW_ORIGIN = "Access-Control-Allow-Origin"


@pytest.fixture(scope="module", params=[PAGE, ""], ids=["allowed", "not allowed"])
def shared(request: pytest.FixtureRequest) -> Iterator[tuple[Client, str | None]]:
    """An API, and the origin that its responses to PAGE name."""
    with server.run(parameters={"AllowedOrigins": request.param}) as api:
        yield Client(api.url), request.param or None


def allowed(method: str, url: str, origin: str = PAGE, **headers: str) -> str | None:
    response = requests.request(method, url, headers={"Origin": origin, **headers}, timeout=TIMEOUT_SECONDS)
    return response.headers.get(ALLOW_ORIGIN)


def test_responses_errors_and_gateway_responses_name_the_origin(shared: tuple[Client, str | None]) -> None:
    api, named = shared
    for path in ("/api/images", "/api/stats", "/api/images/unknown"):
        assert allowed("GET", f"{api.url}{path}") == named
        assert allowed("GET", f"{api.url}{path}", OTHER) is None
    assert allowed("GET", f"{api.url}/api/nothing") == ("*" if named else None)


def test_preflights_get_a_response(shared: tuple[Client, str | None]) -> None:
    api, named = shared
    for path, method in (
        ("/api/images", "POST"),
        ("/api/images/check", "POST"),
        ("/api/uploads", "POST"),
        ("/api/images/an-id", "DELETE"),
    ):
        asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "idempotency-key"}
        response = requests.options(f"{api.url}{path}", headers={"Origin": PAGE, **asked}, timeout=TIMEOUT_SECONDS)
        assert response.status_code == requests.codes.no_content
        assert response.headers.get(ALLOW_ORIGIN) == named
        assert (method in response.headers.get("Access-Control-Allow-Methods", "")) == bool(named)


def test_a_page_may_read_thumbnails_only_if_its_origin_is_allowed(shared: tuple[Client, str | None]) -> None:
    api, named = shared
    thumbnail = api.uploaded(scene_png(), "scene.png")["thumbnails"]["small"]
    assert allowed("GET", thumbnail) == named
    assert allowed("GET", thumbnail, OTHER) is None


def test_a_page_of_any_origin_may_post_a_file_with_a_presigned_form(shared: tuple[Client, str | None]) -> None:
    api, _ = shared
    form = api.request_upload(filename="scene.png", content_type="image/png").json()["data"]["upload"]
    assert allowed("OPTIONS", form["url"], **{"Access-Control-Request-Method": "POST"}) in {"*", PAGE}
    response = requests.post(
        form["url"],
        data=form["fields"],
        files={"file": scene_png()},
        headers={"Origin": PAGE},
        timeout=TIMEOUT_SECONDS,
    )
    assert response.ok
    assert response.headers[ALLOW_ORIGIN] in {"*", PAGE}

"""Two clients of the local API with Owners=caller: the gateway tells the functions who calls, also the worker."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from functions.authorize import app as authorizer
from tests import oidc_issuer
from tests.pictures import scene_png
from tools.local import access, server

_SECONDS = 60


@dataclass(frozen=True)
class Caller:
    """A client with its credentials."""

    url: str
    headers: dict[str, str]

    def send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return requests.request(method, self.url + path, headers=self.headers, timeout=_SECONDS, **arguments)

    def listed(self, query: str = "") -> set[str]:
        return set(self.send("GET", f"/api/images{query}").json().get("content", {}))

    def upload(self) -> str:
        """Upload by form. Return the image id."""
        response = self.send("POST", "/api/images", files={"file": ("MyScene.png", scene_png())})
        assert response.status_code == 200, response.text
        image_id: str = response.json()["data"]["image_id"]
        return image_id

    def upload_directly(self) -> str:
        requested = self.send("POST", "/api/uploads", json={"content_type": "image/png", "filename": "b.png"}).json()
        form = requested["data"]["upload"]
        sent = requests.post(form["url"], data=form["fields"], files={"file": scene_png()}, timeout=_SECONDS)
        assert sent.status_code < 300
        image_id: str = requested["data"]["image_id"]
        assert self.send("GET", f"/api/images/{image_id}?wait=20").json()["data"]["image_status"] == "success"
        return image_id


@pytest.fixture(scope="module", params=["API_KEY", "JWT"])
def callers(request: pytest.FixtureRequest) -> Iterator[tuple[Caller, Caller]]:
    authorizer.trusted_keys.cache_clear()
    with oidc_issuer.running() as issuer:
        issuer.add_key("first")
        if request.param == "API_KEY":
            credentials = [{"x-api-key": key} for key in (access.API_KEY, access.OTHER_API_KEY)]
        else:
            credentials = [{"Authorization": f"Bearer {issuer.token('first', sub=name)}"} for name in ("one", "two")]
        with server.run(parameters={"ApiAuth": request.param, "Owners": "caller", "JwtIssuer": issuer.url}) as api:
            first, second = (Caller(api.url, headers) for headers in credentials)
            yield first, second


def test_each_caller_sees_its_own_images(callers: tuple[Caller, Caller]) -> None:
    first, second = callers
    mine, theirs = {first.upload(), first.upload_directly()}, {second.upload()}
    assert (first.listed(), second.listed()) == (mine, theirs)
    assert first.send("GET", "/api/stats").json()["data"]["success"] == 2
    for image_id in mine:
        missing = second.send("GET", "/api/images/00000000-0000-4000-8000-000000000000")
        for method in ("GET", "DELETE"):
            refused = second.send(method, f"/api/images/{image_id}")
            assert (refused.status_code, refused.content) == (404, missing.content)
    # A client cannot say who it is.
    claimed = second.headers | {"owner": "one", "apiKeyId": "local0key1", "x-amzn-owner": "one"}
    assert Caller(second.url, claimed).listed("?owners=shared&owner=one") == theirs
    for image_id in mine:
        assert first.send("DELETE", f"/api/images/{image_id}").status_code == 200
    assert (first.listed(), second.listed()) == (set(), theirs)

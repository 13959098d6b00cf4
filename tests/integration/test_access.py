"""Who may call the local API with each value of the parameter ApiAuth."""

from collections.abc import Iterator

import pytest
import requests

from tests.contract.client import Client
from tests.contract.refusals import refusal
from tests.oidc_issuer import Issuer
from tests.pictures import scene_png
from tests.routes import declared
from tools.local import server
from tools.local.access import API_KEY
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

# An image is deleted last, because the other routes need it.
ROUTES = [
    ("GET", f"/api/images/{IMAGE_ID.upper()}"),
    *(
        (method, each.route.path.format(image_id=IMAGE_ID, size="small"))
        for each in sorted(declared(), key=lambda each: each.route.method == "DELETE")
        for method in each.methods
    ),
]
# With the key, a POST gets 400, because it has no body here.
STATUS = {"POST": 400}
PUBLIC = [("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json"), ("OPTIONS", "/api/images")]
NO_KEY = "This API key is missing or not valid. Please send a valid one in the header x-api-key."
NO_TOKEN = "This token is missing or not valid. Please send a valid one in the header Authorization: Bearer <token>."


@pytest.fixture(scope="module")
def with_keys() -> Iterator[Client]:
    with server.run(parameters={"ApiAuth": "API_KEY"}) as api:
        yield Client(api.url)


@pytest.fixture
def with_tokens(issuer: Issuer) -> Iterator[Client]:
    with server.run(parameters={"ApiAuth": "JWT", "JwtIssuer": issuer.url}) as api:
        yield Client(api.url)


def send(api: Client, method: str, path: str, headers: dict[str, str] | None = None) -> requests.Response:
    return requests.request(method, api.url + path, headers=headers, timeout=10)


def test_each_route_needs_the_key(with_keys: Client) -> None:
    store_sample(sample_image(IMAGE_ID))
    for method, path in ROUTES:
        for headers in ({}, {"x-api-key": ""}, {"x-api-key": f"{API_KEY}x"}, {"Authorization": API_KEY}):
            response = send(with_keys, method, path, headers)
            assert response.status_code == 403
            assert method == "HEAD" or refusal(response) == (403, NO_KEY)
        assert send(with_keys, method, path, {"X-API-Key": API_KEY}).status_code == STATUS.get(method, 200)


@pytest.mark.parametrize(("method", "path"), PUBLIC)
def test_pages_and_preflights_need_no_key(with_keys: Client, method: str, path: str) -> None:
    assert send(with_keys, method, path).ok


def test_each_route_needs_a_token(with_tokens: Client, issuer: Issuer) -> None:
    store_sample(sample_image(IMAGE_ID))
    token, expired = issuer.token("first"), issuer.token("first", exp=-60)
    for method, path in ROUTES:
        for authorization in ("", "Bearer", f"Basic {token}", f"Bearer {token}x", f"Bearer {expired}"):
            response = send(with_tokens, method, path, {"Authorization": authorization})
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert method == "HEAD" or refusal(response) == (401, NO_TOKEN)
        response = send(with_tokens, method, path, {"Authorization": f"Bearer {token}"})
        assert response.status_code == STATUS.get(method, 200)


def test_an_upload_with_a_token_is_processed(with_tokens: Client, issuer: Issuer) -> None:
    headers = {"Authorization": f"Bearer {issuer.token('first')}"}
    files = {"file": ("scene.png", scene_png())}
    response = requests.post(f"{with_tokens.url}/api/images", files=files, headers=headers, timeout=30)
    assert response.status_code == 200

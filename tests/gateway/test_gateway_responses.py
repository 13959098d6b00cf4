"""What API Gateway answers itself. `sam local` does not emulate it; the local API and a deployed stack do."""

import pytest
import requests

from tests.contract.client import TIMEOUT_SECONDS, Client
from tests.pictures import scene_png


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/nothing"), ("DELETE", "/api/images"), ("GET", "/")])
def test_an_unknown_route(api: Client, method: str, path: str) -> None:
    response = requests.request(method, f"{api.url}{path}", timeout=TIMEOUT_SECONDS)
    assert response.status_code == 404
    assert response.json() == {"current_status": "failure", "error": "This route does not exist."}


def test_head_is_no_route(api: Client) -> None:
    assert requests.head(f"{api.url}/api/images", timeout=TIMEOUT_SECONDS).status_code == 404


@pytest.mark.parametrize("media_type", ["image/jpeg", "application/x-www-form-urlencoded", ""])
def test_an_image_outside_a_form_is_text_to_the_function(api: Client, media_type: str) -> None:
    response = api.post(scene_png(), media_type)
    assert response.status_code == 400
    assert response.json()["error"].startswith("The request is not multipart/form-data.")

"""The picture that make deploy uploads over the public URL: with which credentials, and when it tries again."""

import json
from collections.abc import Iterator

import boto3
import pytest
import requests
import responses

from tools.deploy import first_upload
from tools.deploy.errors import DeployError

URL = "https://api.test/prod"
STORED = {"data": {"image_id": "an-id", "caption": "a cup"}}
SESSION = boto3.Session("an-id", "a-secret", region_name="eu-west-1")


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    """A stand-in for the API, which deletes the picture."""
    monkeypatch.setattr(first_upload, "_PAUSE_SECONDS", 0)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as stand_in:
        stand_in.delete(f"{URL}/api/images/an-id", json={"data": "Image deleted."})
        yield stand_in


def sent(api: responses.RequestsMock) -> list[requests.PreparedRequest]:
    return [call.request for call in api.calls]


def test_requests_are_signed_for_the_region_of_the_stack(api: responses.RequestsMock) -> None:
    api.post(f"{URL}/api/images", json=STORED)
    said = first_upload.try_out(SESSION, "AWS_IAM", {"ApiUrl": URL})
    assert said.endswith("and is deleted again: a cup")
    upload, deletion = sent(api)
    for request in (upload, deletion):
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=an-id/")
        assert "/eu-west-1/execute-api/aws4_request" in request.headers["Authorization"]
    assert isinstance(upload.body, bytes)
    assert first_upload.PICTURE.read_bytes() in upload.body


def test_an_upload_is_repeated_under_one_key_until_the_model_is_loaded(api: responses.RequestsMock) -> None:
    for status in (403, 503):
        api.post(f"{URL}/api/images", status=status)
    api.post(f"{URL}/api/images", json=STORED)
    first_upload.try_out(SESSION, "NONE", {"ApiUrl": URL})
    *uploads, deletion = sent(api)
    assert deletion.method == "DELETE"
    assert len(uploads) == 3
    assert len({upload.headers["Idempotency-Key"] for upload in uploads}) == 1
    assert "Authorization" not in uploads[0].headers


@pytest.mark.parametrize(("status", "tries"), [(503, 6), (422, 1)])
def test_a_failure_is_named(api: responses.RequestsMock, status: int, tries: int) -> None:
    api.post(f"{URL}/api/images", status=status, body=json.dumps({"error": "a reason"}))
    with pytest.raises(DeployError, match=rf"the upload of a picture failed with {status} .*a reason"):
        first_upload.try_out(SESSION, "NONE", {"ApiUrl": URL})
    assert len(sent(api)) == tries


def test_an_api_that_is_not_reached_is_named() -> None:
    with pytest.raises(DeployError, match=f"{URL} was not reached"):
        first_upload.try_out(SESSION, "NONE", {"ApiUrl": URL})

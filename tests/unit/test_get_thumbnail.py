import json
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config

from functions.get_thumbnail import app
from image_pipeline.models import STANDARD_SIZES, ThumbnailSize
from image_pipeline.storage import clients, presigning, thumbnail_store
from tests.contract.examples import INVALID_SIZE
from tests.events import load_event, send
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")


def get(name: str = "get_thumbnail_small", **query: str) -> tuple[int, dict[str, Any]]:
    return send(app, load_event(name, **query))


@pytest.mark.parametrize("size", STANDARD_SIZES)
def test_the_url_is_signed_for_one_object(size: ThumbnailSize) -> None:
    store_sample(sample_image(IMAGE_ID))
    event = load_event("get_thumbnail_small")
    event["pathParameters"]["size"] = str(size)
    status, body = send(app, event)
    assert status == 200
    assert body["current_status"] == "success"
    url = urlsplit(body["data"])
    assert url.path.endswith(f"{IMAGE_ID}/thumbnails/{size}.jpg")
    query = parse_qs(url.query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["900"]
    assert query["response-content-type"] == ["image/jpeg"]
    assert "/us-east-1/s3/aws4_request" in query["X-Amz-Credential"][0]


@pytest.mark.usefixtures("new_clients")
@pytest.mark.parametrize("token", ["", "a session's/token+"])
def test_the_url_is_the_one_that_an_s3_client_signs(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-south-1")
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    monkeypatch.setenv("THUMBNAILS_URL", "https://thumbnails.s3.eu-south-1.amazonaws.com")
    clients.session.cache_clear()
    client = boto3.Session().client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
    key = f"{IMAGE_ID}/thumbnails/small.jpg"
    arguments = {"Bucket": "thumbnails", "Key": key, "ResponseContentType": "image/jpeg"}
    theirs = urlsplit(client.generate_presigned_url("get_object", Params=arguments, ExpiresIn=900))
    signed_at = datetime.strptime(parse_qs(theirs.query)["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
    monkeypatch.setattr(presigning, "datetime", Mock(now=lambda _: signed_at))
    ours = urlsplit(thumbnail_store.presigned_url(key))
    assert ours[:3] == theirs[:3]
    assert parse_qs(ours.query) == parse_qs(theirs.query)


def test_another_size_is_refused_without_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients.dynamodb(), "get_item", None)
    assert get("get_thumbnail_bad_size") == (400, INVALID_SIZE)


def test_an_image_stored_before_a_size_was_added_has_no_thumbnail_in_that_size() -> None:
    record = sample_image(IMAGE_ID)
    store_sample(replace(record, thumbnails={ThumbnailSize.SMALL: record.thumbnails[ThumbnailSize.SMALL]}))
    assert get()[0] == 200
    assert get("get_thumbnail_medium") == (404, {"current_status": "failure", "error": "Thumbnail not found."})


IMG = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "redirect", "status"),
    [
        (None, None, 200),
        ("*/*", None, 200),
        ("application/json", None, 200),
        ("application/json, image/*;q=0.9", None, 200),
        (IMG, None, 302),
        ("image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", None, 302),
        ("IMAGE/JPEG", None, 302),
        ("image/jpeg ; q=0.2, application/* ; Q=0.1", None, 302),
        ("image/jpeg;q=0, */*", None, 200),
        ("image/png", None, 200),
        ("image/jpeg;q=high", None, 302),
        (IMG, "0", 200),
        ("application/json", "1", 302),
    ],
)
def test_a_client_that_prefers_the_image_is_redirected_to_it(
    accept: str | None, redirect: str | None, status: int
) -> None:
    store_sample(sample_image(IMAGE_ID))
    event = load_event("get_thumbnail_small", **({"redirect": redirect} if redirect else {}))
    event["headers"] = {"accept": accept} if accept else None
    response = app.lambda_handler(event, LocalContext("GetThumbnailFunction"))
    assert response["statusCode"] == status
    assert response["headers"]["Cache-Control"] == "no-store"
    url = json.loads(response["body"])["data"]
    assert response["headers"].get("Location") == (url if status == 302 else None)


def test_another_value_of_redirect_is_refused() -> None:
    store_sample(sample_image(IMAGE_ID))
    status, body = get(redirect="yes")
    assert status == 400
    assert "redirect=1" in body["error"]

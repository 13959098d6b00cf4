"""`?details=download`: the best file of an image, and its name."""

import time
from dataclasses import replace
from typing import Any
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from werkzeug.http import parse_options_header

from functions.check_images import app as check_images
from functions.get_image import app as get_image
from functions.list_images import app as list_images
from functions.upload_image import app as upload_image
from image_pipeline import settings
from image_pipeline.errors import DeadlineError
from image_pipeline.models import SHARED, ImageRecord, ThumbnailSize
from image_pipeline.storage import claims, clients, keys, records
from tests.events import load_event, send, upload_event
from tests.permissions import not_recording, statements
from tests.pictures import scene_png
from tests.stored import bucket_keys
from tests.transformed import core
from tools import template
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")


def stored(
    name: str = "photo.jpg", image_format: str = "JPEG", thumbnails: dict[ThumbnailSize, str] | None = None
) -> ImageRecord:
    """Store an image. It has the two usual thumbnails, unless others are given."""
    record = replace(sample_image(IMAGE_ID), original_name=name)
    record = replace(record, metadata=replace(record.metadata, format=image_format))
    if thumbnails:
        record = replace(record, thumbnails=thumbnails)
    store_sample(record)
    return record


@pytest.fixture
def original(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the original of the image."""
    monkeypatch.setenv("KEEP_ORIGINALS_DAYS", "7")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.original(IMAGE_ID), Body=b"x")


def get(**query: str) -> tuple[int, dict[str, Any]]:
    return send(get_image, load_event("get_image", **query))


def download() -> tuple[str, str, dict[str, list[str]]]:
    """Return the kind of the download, and the path and the query of its URL."""
    status, body = get(details="download")
    assert status == 200
    shown = body["data"]["data"]["download"]
    url = urlsplit(shown["url"])
    return shown["kind"], url.path, parse_qs(url.query)


def disposition() -> str:
    (header,) = download()[2]["response-content-disposition"]
    return header


def name_of(header: str) -> str:
    kind, parameters = parse_options_header(header)
    assert kind == "attachment"
    return parameters["filename"]


@pytest.mark.usefixtures("original")
def test_a_kept_original_is_downloaded() -> None:
    stored()
    kind, path, query = download()
    assert (kind, path) == ("original", f"/{keys.original(IMAGE_ID)}")
    assert query["X-Amz-Expires"] == ["900"]
    assert name_of(disposition()) == "photo.jpg"


@pytest.mark.usefixtures("original")
def test_the_largest_thumbnail_takes_the_place_of_an_original_that_is_gone() -> None:
    stored()
    clients.s3().delete_object(Bucket=settings.uploads_bucket(), Key=keys.original(IMAGE_ID))
    kind, path, query = download()
    assert (kind, path) == ("thumbnail", f"/{IMAGE_ID}/thumbnails/medium.jpg")
    assert query["response-content-type"] == ["image/jpeg"]


def test_the_large_thumbnail_is_downloaded_if_the_image_has_one() -> None:
    stored(thumbnails={size: f"{IMAGE_ID}/thumbnails/{size}.jpg" for size in ThumbnailSize})
    assert download()[:2] == ("thumbnail", f"/{IMAGE_ID}/thumbnails/large.jpg")


def test_s3_is_not_asked_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    stored()
    head = Mock(side_effect=AssertionError)
    monkeypatch.setattr(clients.s3(), "head_object", head)
    assert download()[0] == "thumbnail"
    monkeypatch.setenv("KEEP_ORIGINALS_DAYS", "7")
    for query in ({}, {"details": "caption,placeholder"}):
        status, body = get(**query)
        assert (status, "download" in body["data"]["data"]) == (200, False)
    claims.request(SHARED, other := "f0b6a9e0-6f0c-4e39-a0a4-2d5a5e0a1f11", "a.jpg")
    event = load_event("get_image", details="download")
    event["pathParameters"]["image_id"] = other
    assert send(get_image, event)[1]["data"]["image_status"] == "processing"
    head.assert_not_called()


@pytest.mark.usefixtures("original")
def test_s3_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stored()
    head = Mock(side_effect=clients.s3().head_object)
    monkeypatch.setattr(clients.s3(), "head_object", head)
    assert download()[0] == "original"
    head.assert_called_once_with(Bucket=settings.uploads_bucket(), Key=keys.original(IMAGE_ID))


@pytest.mark.usefixtures("original")
def test_after_the_longest_wait_there_is_time_to_ask_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    claims.request(SHARED, IMAGE_ID, "photo.jpg")
    claim, *_ = claims.take(IMAGE_ID)
    start = now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds
        # The last read, 18.5 s after the start, finds the image.
        if now - start == 18.5:
            with not_recording():
                records.save(claim, sample_image(IMAGE_ID))

    monkeypatch.setattr(time, "sleep", pause)
    status, body = get(wait="20", details="download")
    assert (status, body["data"]["data"]["download"]["kind"]) == (200, "original")
    assert now - start == 18.5


@pytest.mark.usefixtures("original")
@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "403"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "HeadObject"),  # type: ignore[typeddict-item]  # boto3 gives more
        ReadTimeoutError(endpoint_url="test"),
        DeadlineError(),
    ],
)
def test_without_an_answer_of_s3_there_is_no_download_but_all_else(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    stored()
    monkeypatch.setattr(clients.s3(), "head_object", Mock(side_effect=error))
    status, body = get(details="caption,placeholder,download")
    shown = body["data"]["data"]
    assert (status, shown.pop("download")) == (200, None)
    assert shown.keys() == get(details="caption,placeholder")[1]["data"]["data"].keys()


@pytest.mark.parametrize(
    ("name", "image_format", "extension", "expected"),
    [
        ("photo.JPG", "JPEG", "jpg", "photo.JPG"),
        ("photo.jpeg", "JPEG", "jpg", "photo.jpeg"),
        ("photo.png", "JPEG", "jpg", "photo.jpg"),
        ("scene.JPG", "PNG", "png", "scene.png"),
        ("report.v2", "JPEG", "jpg", "report.v2.jpg"),
        ("unnamed", "PNG", "png", "unnamed.png"),
        (".jpg", "JPEG", "jpg", "unnamed.jpg"),
        ("été à la plage 🏖.jpg", "JPEG", "jpg", "été à la plage 🏖.jpg"),
        ('a"; filename="evil.exe.jpg', "JPEG", "jpg", 'a"; filename="evil.exe.jpg'),
        ("a%0d%0aSet-Cookie: b.jpg", "JPEG", "jpg", "a%0d%0aSet-Cookie: b.jpg"),
        ("a\r\nSet-Cookie: b.jpg", "JPEG", "jpg", "a\r\nSet-Cookie: b.jpg"),
        ("back\\slash; 'quote'.png", "PNG", "png", "back\\slash; 'quote'.png"),
        ("x" * 255, "JPEG", "jpg", "x" * 251 + ".jpg"),
        ("🏖" * 255, "JPEG", "jpg", "🏖" * 62 + ".jpg"),
        ("é" * 200 + ".jpg", "JPEG", "jpg", "é" * 125 + ".jpg"),
    ],
)
@pytest.mark.parametrize("days", ["0", "7"])
def test_a_browser_stores_it_under_its_name(  # noqa: PLR0913 - a table
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    image_format: str,
    extension: str,
    expected: str,
    days: str,
) -> None:
    monkeypatch.setenv("KEEP_ORIGINALS_DAYS", days)
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.original(IMAGE_ID), Body=b"x")
    stored(name, image_format, {ThumbnailSize.MEDIUM: f"{IMAGE_ID}/thumbnails/medium.{extension}"})
    header = disposition()
    assert header.isascii()
    assert header.isprintable()
    assert name_of(header) == expected
    # Old clients read the first name. It has no quotes, so it ends where it should.
    plain = header.partition('filename="')[2].partition('"; filename*=')[0]
    assert not set(plain) & set('"\\/%')
    assert len(expected.encode()) <= 255


@pytest.mark.usefixtures("original")
def test_a_format_that_this_version_does_not_know_keeps_its_name() -> None:
    stored("picture.webp", "WEBP")
    assert name_of(disposition()) == "picture.webp"


def test_only_the_route_of_one_image_has_downloads() -> None:
    message = "Invalid details. Please use caption, placeholder, or caption,placeholder."
    for app, event in (
        (list_images, load_event("list_images", details="download")),
        (check_images, load_event("check_images", details="caption,download")),
        (upload_image, upload_event(scene_png()) | {"queryStringParameters": {"details": "download"}}),
    ):
        status, body = send(app, event)
        assert (status, body["error"]) == (400, message)
    assert bucket_keys() == []
    status, body = get(details="downloads")
    message = "Invalid details. Please use caption, placeholder, download, or caption,placeholder,download."
    assert (status, body["error"]) == (400, message)


def test_a_stack_without_originals_gives_no_access_to_them() -> None:
    (policy,) = template.read()["Resources"]["GetImageRole"]["Properties"]["Policies"]
    assert "UploadsBucket" not in str(policy)
    allowed = {
        (action, resource)
        for statement in statements(core(), "GetImageRole")
        for action in statement.actions
        for resource in statement.resources
        if "UploadsBucket" in resource
    }
    assert allowed == {("s3:GetObject", "UploadsBucket/originals/*"), ("s3:ListBucket", "UploadsBucket")}

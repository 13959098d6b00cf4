"""LargeThumbnail: a third size, which only some stacks make."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
from PIL import Image

from functions.check_images import app as check_images
from functions.follow_images.app import lambda_handler as follow_images
from functions.get_image import app as get_image
from functions.get_thumbnail import app as get_thumbnail
from functions.list_images import app as list_images
from functions.process_upload.app import lambda_handler as process_upload
from functions.upload_image import app as upload_image
from image_pipeline import settings
from image_pipeline.errors import CaptionError
from image_pipeline.models import SHARED, ImageRecord, ThumbnailSize
from image_pipeline.storage import claims, clients, keys, records, thumbnail_store
from image_processing.captions import Captioner
from tests.events import load_event, send, upload_event
from tests.pictures import encode, opened
from tests.stored import bucket_keys
from tools import template
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")

PHOTOGRAPH = encode(Image.new("RGB", (4000, 3000), "teal"), "JPEG")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make large thumbnails of 1,600 pixels."""
    monkeypatch.setenv("LARGE_THUMBNAIL", "1600")


def store_with_large() -> ImageRecord:
    """Store an image that was processed while the stack made large thumbnails."""
    record = sample_image(IMAGE_ID)
    vars(record)["thumbnails"] = {**record.thumbnails, ThumbnailSize.LARGE: f"{IMAGE_ID}/thumbnails/large.jpg"}
    store_sample(record)
    return record


def uploaded(content: bytes, **query: str) -> dict[str, Any]:
    event = upload_event(content) | {"queryStringParameters": query}
    status, body = send(upload_image, event)
    assert status == 200
    data: dict[str, Any] = body["data"]
    return data


def thumbnail(size: str) -> tuple[int, dict[str, Any]]:
    event = load_event("get_thumbnail_small")
    event["pathParameters"] = {"image_id": IMAGE_ID, "size": size}
    return send(get_thumbnail, event)


def requests_for_data() -> Mapping[str, tuple[ModuleType, str]]:
    return {
        "list": (list_images, "list_images"),
        "check": (check_images, "check_images"),
        "image": (get_image, "get_image"),
    }


def data_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the data of IMAGE_ID in a response of any route."""
    image = body["content"][IMAGE_ID] if "content" in body else body["data"]
    data: dict[str, Any] = image["data"]
    return data


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((4000, 3000), 1600, (1600, 1200)), ((3000, 4000), 2560, (1920, 2560)), ((600, 900), 1600, (600, 900))],
)
@pytest.mark.parametrize(("image_format", "extension"), [("JPEG", "jpg"), ("PNG", "png")])
def test_an_upload_gets_it(  # noqa: PLR0913 - two tables
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    side: int,
    expected: tuple[int, int],
    image_format: str,
    extension: str,
) -> None:
    monkeypatch.setenv("LARGE_THUMBNAIL", str(side))
    image_id = uploaded(encode(Image.new("L", size), image_format))["image_id"]
    assert set(bucket_keys()) == {f"{image_id}/thumbnails/{each}.{extension}" for each in ThumbnailSize}
    assert opened(thumbnail_store.get(f"{image_id}/thumbnails/large.{extension}")).size == expected
    # The others are as large as ever.
    for each, longer in ((ThumbnailSize.SMALL, 128), (ThumbnailSize.MEDIUM, 512)):
        assert max(opened(thumbnail_store.get(keys.thumbnail(image_id, each, extension))).size) == longer


@pytest.mark.usefixtures("large")
def test_a_direct_upload_gets_it() -> None:
    claims.request(SHARED, IMAGE_ID, "photo.jpg")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(IMAGE_ID), Body=PHOTOGRAPH)
    result = process_upload(load_event("process_upload"), LocalContext("ProcessUploadFunction"))
    assert result == {"batchItemFailures": []}
    assert set(records.get(SHARED, IMAGE_ID).thumbnails) == set(ThumbnailSize)
    assert opened(thumbnail_store.get(f"{IMAGE_ID}/thumbnails/large.jpg")).size == (1600, 1200)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(("size", "has_large"), [((512, 512), False), ((513, 1), True), ((40, 20), False)])
def test_a_picture_without_more_pixels_than_the_medium_thumbnail_gets_none(
    size: tuple[int, int],
    has_large: bool,  # noqa: FBT001 - a table
) -> None:
    data = uploaded(encode(Image.new("L", size)), details="large")
    assert ("large" in data["thumbnails"]) == has_large
    assert len(bucket_keys()) == 2 + has_large


def test_by_default_there_is_none() -> None:
    assert "large" not in uploaded(PHOTOGRAPH)["thumbnails"]
    assert len(bucket_keys()) == 2
    store_with_large()
    refused = {"current_status": "failure", "error": "Invalid input size. Please use 'small' or 'medium'."}
    assert thumbnail("large") == (400, refused)
    for app, event in ((list_images, "list_images"), (check_images, "check_images")):
        status, body = send(app, load_event(event, details="large"))
        message = "Invalid details. Please use caption, placeholder, or caption,placeholder."
        assert (status, body["error"]) == (400, message)


@pytest.mark.usefixtures("large")
def test_it_is_shown_only_if_it_is_asked_for() -> None:
    store_with_large()
    assert list(uploaded(PHOTOGRAPH)["thumbnails"]) == ["small", "medium"]
    assert list(uploaded(PHOTOGRAPH, details="large")["thumbnails"]) == ["small", "medium", "large"]
    for app, event in requests_for_data().values():
        query = {"queryStringParameters": None}
        assert list(data_of(send(app, load_event(event) | query)[1])["thumbnails"]) == ["small", "medium"]
        shown = data_of(send(app, load_event(event, details="large,caption"))[1])
        assert list(shown["thumbnails"]) == ["small", "medium", "large"]
        assert "/thumbnails/large.jpg?" in shown["thumbnails"]["large"]
        assert "caption_details" in shown


@pytest.mark.usefixtures("large")
def test_an_image_without_it_is_shown_without_it() -> None:
    store_sample(sample_image(IMAGE_ID))
    for app, event in requests_for_data().values():
        shown = data_of(send(app, load_event(event, details="large"))[1])
        assert list(shown["thumbnails"]) == ["small", "medium"]
    assert thumbnail("large") == (404, {"current_status": "failure", "error": "Thumbnail not found."})


@pytest.mark.usefixtures("large")
def test_the_next_page_has_it_too() -> None:
    for minutes in range(3):
        store_sample(sample_image(minutes=minutes))
    _, body = send(list_images, load_event("list_images", limit="2", details="large"))
    assert "details=large" in body["next"]


@pytest.mark.usefixtures("large")
def test_its_route_leads_to_it_and_other_sizes_are_refused() -> None:
    store_with_large()
    status, body = thumbnail("large")
    assert (status, f"/{IMAGE_ID}/thumbnails/large.jpg?" in body["data"]) == (200, True)
    refused = {"current_status": "failure", "error": "Invalid input size. Please use 'small', 'medium' or 'large'."}
    assert thumbnail("huge") == (400, refused)
    status, body = send(list_images, load_event("list_images", details="huge"))
    message = "Invalid details. Please use caption, placeholder, large, or caption,placeholder,large."
    assert (status, body["error"]) == (400, message)


def test_it_is_deleted_with_its_image_even_if_the_stack_makes_none_any_more() -> None:
    for key in store_with_large().thumbnails.values():
        thumbnail_store.put(key, b"x")
    records.delete(SHARED, IMAGE_ID)
    follow_images(load_event("follow_images_deleted"), LocalContext("FollowImagesFunction"))
    assert bucket_keys() == []


@pytest.mark.usefixtures("large")
def test_it_is_deleted_if_the_upload_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    put = Mock(side_effect=thumbnail_store.put)
    monkeypatch.setattr(thumbnail_store, "put", put)
    monkeypatch.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
    assert send(upload_image, upload_event(PHOTOGRAPH))[0] == 500
    assert put.call_count == 3
    assert bucket_keys() == []


@pytest.mark.parametrize("value", ["0", "513", "599", "600", "999", "1600", "2399", "2499", "2559", "2560"])
def test_the_template_accepts_these_sides(value: str) -> None:
    assert template.violation(template.raw()["Parameters"]["LargeThumbnail"], value) is None


@pytest.mark.parametrize("value", ["", "1", "128", "512", "2561", "3000", "10000", "-1", "1.5", "0600", "x"])
def test_the_template_refuses_other_sides(value: str) -> None:
    message = template.violation(template.raw()["Parameters"]["LargeThumbnail"], value)
    assert message in {"must be 0, or a whole number from 513 to 2560", "must have at most 4 characters"}


def test_each_function_that_needs_the_side_gets_it() -> None:
    described = template.read({"LargeThumbnail": "1600"})
    given = {
        name
        for name, properties in template.functions(described).items()
        if properties["Environment"]["Variables"].get("LARGE_THUMBNAIL") == {"Ref": "LargeThumbnail"}
    }
    makers = {"UploadImageFunction", "ProcessUploadFunction"}
    readers = {"ListImagesFunction", "CheckImagesFunction", "GetImageFunction", "GetThumbnailFunction"}
    assert given == makers | readers | {"ShowPageFunction"}

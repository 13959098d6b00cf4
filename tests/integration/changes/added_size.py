"""Runs in a scratch copy that has thumbnails of the size `preview`."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from functions.get_image.app import lambda_handler as get_image
from functions.get_thumbnail.app import lambda_handler as get_thumbnail
from functions.list_images.app import lambda_handler as list_images
from functions.upload_image.app import lambda_handler as upload_image
from image_pipeline.models import STANDARD_SIZES
from image_pipeline.storage import thumbnail_store
from tests.events import load_event, upload_event
from tests.pictures import encode, opened
from tools.docs import openapi
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")


def response_of(handler: Callable[..., Any], event: dict[str, Any], image_id: str = "") -> tuple[int, Any]:
    if image_id:
        event["pathParameters"] = {"image_id": image_id, "size": "preview"}
    response = handler(event, LocalContext("Function"))
    return response["statusCode"], json.loads(response["body"])


def test_preview_is_stored_and_listed() -> None:
    status, image = response_of(upload_image, upload_event(encode(Image.new("L", (2500, 2000)))))
    assert (status, "preview" in image["data"]["thumbnails"]) == (200, True)
    image_id = image["data"]["image_id"]
    assert opened(thumbnail_store.get(f"{image_id}/thumbnails/preview.png")).size == (1024, 819)
    _, listed = response_of(list_images, load_event("list_images"))
    assert list(listed["content"][image_id]["data"]["thumbnails"]) == ["small", "medium", "preview"]
    assert response_of(get_thumbnail, load_event("get_thumbnail_small"), image_id)[0] == 200


def test_an_older_image_is_shown_without_it() -> None:
    record = sample_image(IMAGE_ID)
    older = {size: key for size, key in record.thumbnails.items() if size != "preview"}
    assert len(older) == len(STANDARD_SIZES) - 1
    store_sample(replace(record, thumbnails=older))
    _, listed = response_of(list_images, load_event("list_images"))
    _, found = response_of(get_image, load_event("get_image"), IMAGE_ID)
    for image in (listed["content"][IMAGE_ID], found["data"]):
        assert list(image["data"]["thumbnails"]) == ["small", "medium"]
    assert response_of(get_thumbnail, load_event("get_thumbnail_small"), IMAGE_ID)[0] == 404


def test_preview_is_optional_in_the_document() -> None:
    schemas = json.loads(openapi.DOCUMENT.read_text())["components"]["schemas"]
    assert (
        list(schemas["Thumbnails"]["properties"]) == schemas["ThumbnailSize"]["enum"] == ["small", "medium", "preview"]
    )
    assert schemas["Thumbnails"]["required"] == ["small", "medium"]

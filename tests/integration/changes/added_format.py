"""Runs in a scratch copy that has a reader of GIF."""

import json

import pytest

from functions.show_page.app import lambda_handler as show_page
from functions.upload_image.app import lambda_handler as upload_image
from image_pipeline.http.requests import CONTENT_TYPES
from image_pipeline.models import STANDARD_SIZES
from tests.events import load_event, upload_event
from tests.pictures import RED_LEFT_OF_BLUE, encode
from tests.stored import bucket_keys, table_items
from tools.demo_model.scenes import draw
from tools.docs import openapi
from tools.local.gateway import LocalContext

pytestmark = pytest.mark.usefixtures("aws")


def test_a_gif_gets_thumbnails_and_a_record() -> None:
    content = encode(draw(RED_LEFT_OF_BLUE), "GIF")
    response = upload_image(upload_event(content, "scene.gif"), LocalContext("UploadImageFunction"))
    assert response["statusCode"] == 200, response["body"]
    data = json.loads(response["body"])["data"]
    assert (data["caption"], data["metadata"]["format"]) == (RED_LEFT_OF_BLUE.caption, "GIF")
    assert bucket_keys() == sorted(f"{data['image_id']}/thumbnails/{size}.png" for size in STANDARD_SIZES)
    assert table_items("IMAGE#")[0]["metadata"]["format"] == "GIF"


def test_the_document_and_the_gallery_name_gif() -> None:
    schemas = json.loads(openapi.DOCUMENT.read_text())["components"]["schemas"]
    assert schemas["ContentType"]["enum"] == CONTENT_TYPES
    assert "GIF" in schemas["Metadata"]["properties"]["format"]["enum"]
    page = show_page(load_event("show_page") | {"resource": "/"}, LocalContext("ShowPageFunction"))["body"]
    assert f'accept="{",".join(CONTENT_TYPES)}"' in page
    assert " or GIF files, up to " in page

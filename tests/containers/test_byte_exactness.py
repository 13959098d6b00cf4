"""Photographs reach the function unchanged, and thumbnails have the right pixels."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from image_pipeline.models import STANDARD_SIZES, ThumbnailSize
from image_processing import pictures, thumbnails
from tests.pictures import opened
from tools.containers import storage

PHOTOS = sorted((Path(__file__).parent.parent / "photos").glob("*.[jp][pn]g"))


@pytest.fixture(scope="module", params=PHOTOS, ids=lambda photo: photo.name)
def uploaded(api_url: str, request: pytest.FixtureRequest) -> tuple[bytes, dict[str, Any]]:
    """The content of a photograph, and the data in the response to its upload."""
    content = request.param.read_bytes()
    response = requests.post(f"{api_url}/api/images", files={"file": (request.param.name, content)}, timeout=60)
    assert response.status_code == 200
    return content, response.json()["data"]


def test_every_byte_of_a_photograph_arrives(uploaded: tuple[bytes, dict[str, Any]]) -> None:
    content, data = uploaded
    settings = storage.variables()
    dynamodb = boto3.Session("local", "local", region_name="us-east-1").resource(
        "dynamodb", endpoint_url=settings["AWS_ENDPOINT_URL_DYNAMODB"]
    )
    key = {"pk": f"IMAGE#{data['image_id']}", "sk": "IMAGE"}
    item = dynamodb.Table(settings["TABLE_NAME"]).get_item(Key=key)["Item"]
    assert item["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", STANDARD_SIZES)
def test_thumbnails_have_the_same_pixels_as_those_made_in_this_process(
    uploaded: tuple[bytes, dict[str, Any]], size: ThumbnailSize
) -> None:
    content, data = uploaded
    fetched = opened(requests.get(data["thumbnails"][size], timeout=10).content)
    picture = pictures.decode(content, datetime.now(UTC), max_pixels=50_000_000)
    expected = opened(thumbnails.make(picture, STANDARD_SIZES[size]))
    assert (fetched.mode, fetched.size) == (expected.mode, expected.size)
    assert fetched.tobytes() == expected.tobytes()

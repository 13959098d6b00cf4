from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from functions.follow_images import app
from functions.upload_image import app as upload_image
from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.models import ThumbnailSize
from image_pipeline.storage import clients, keys, table, thumbnail_store
from tests.events import load_event, upload_event
from tests.pictures import scene_png
from tools.image_records import IMAGE_ID
from tools.local_gateway import LocalContext

pytestmark = pytest.mark.usefixtures("aws")


class KilledError(BaseException):
    """Simulates the end of the process. No code of a function catches it."""


def sweep(event: dict[str, Any]) -> None:
    app.lambda_handler(event, LocalContext("FollowImagesFunction"))


@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_only_the_thumbnails_of_the_removed_image_are_deleted(
    bucket_keys: Callable[[], list[str]], extension: str
) -> None:
    other = keys.thumbnail("0" + IMAGE_ID[1:], ThumbnailSize.SMALL, extension)
    for size in ThumbnailSize:
        thumbnail_store.put(keys.thumbnail(IMAGE_ID, size, extension), b"x")
    thumbnail_store.put(other, b"x")
    sweep(load_event("follow_images_removed"))
    assert bucket_keys() == [other]


def test_missing_thumbnails_are_not_an_error() -> None:
    sweep(load_event("follow_images_removed"))


@pytest.mark.parametrize(
    "error", [ClientError({"Error": {"Code": "SlowDown"}}, "DeleteObjects"), ReadTimeoutError(endpoint_url="test")]
)
def test_a_bucket_that_does_not_answer_raises_an_error_so_that_lambda_repeats_the_event(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(**_: Any) -> None:
        raise error

    monkeypatch.setattr(clients.s3(), "delete_objects", refuse)
    with pytest.raises(StorageError):
        sweep(load_event("follow_images_removed"))


def test_the_thumbnails_of_a_killed_upload_are_deleted_with_its_item(
    monkeypatch: pytest.MonkeyPatch, bucket_keys: Callable[[], list[str]]
) -> None:
    def killed(**_: Any) -> None:
        raise KilledError

    monkeypatch.setattr(clients.dynamodb(), "transact_write_items", killed)
    with pytest.raises(KilledError):
        upload_image.lambda_handler(upload_event(scene_png()), LocalContext("UploadImageFunction"))
    assert len(bucket_keys()) == 2
    (item,) = boto3.resource("dynamodb").Table(settings.table_name()).scan()["Items"]
    assert item["status"] == "processing"
    assert item["expires_at"]
    event = load_event("follow_images_removed")
    event["Records"][0]["dynamodb"]["Keys"] = table.serialize({"pk": item["pk"], "sk": item["sk"]})
    sweep(event)
    assert bucket_keys() == []

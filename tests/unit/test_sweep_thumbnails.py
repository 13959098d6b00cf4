from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from functions.sweep_thumbnails import app
from functions.upload_image import app as upload_image
from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.models import ThumbnailSize
from image_pipeline.storage import clients, keys, table, thumbnail_store
from tests.events import load_event, upload_event
from tests.image_records import IMAGE_ID
from tests.pictures import scene_png
from tools.local_gateway import LocalContext

pytestmark = pytest.mark.usefixtures("aws")


class KilledError(BaseException):
    """Ends a function where it stands, as the end of its process does: nothing catches it."""


def sweep(event: dict[str, Any]) -> None:
    app.lambda_handler(event, LocalContext("SweepThumbnailsFunction"))


@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_the_thumbnails_of_a_removed_image_go_and_no_others(
    bucket_keys: Callable[[], list[str]], extension: str
) -> None:
    other = keys.thumbnail("0" + IMAGE_ID[1:], ThumbnailSize.SMALL, extension)
    for size in ThumbnailSize:
        thumbnail_store.put(keys.thumbnail(IMAGE_ID, size, extension), b"x")
    thumbnail_store.put(other, b"x")
    sweep(load_event("sweep_thumbnails"))
    assert bucket_keys() == [other]


def test_thumbnails_that_never_were_are_no_fault() -> None:
    sweep(load_event("sweep_thumbnails"))


@pytest.mark.parametrize(
    "error", [ClientError({"Error": {"Code": "SlowDown"}}, "DeleteObjects"), ReadTimeoutError(endpoint_url="test")]
)
def test_a_bucket_that_does_not_answer_is_an_error_so_that_the_event_comes_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(**_: Any) -> None:
        raise error

    monkeypatch.setattr(clients.s3(), "delete_objects", refuse)
    with pytest.raises(StorageError):
        sweep(load_event("sweep_thumbnails"))


def test_what_a_killed_upload_stored_goes_with_its_item(
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
    event = load_event("sweep_thumbnails")
    event["Records"][0]["dynamodb"]["Keys"] = table.serialize({"pk": item["pk"], "sk": item["sk"]})
    sweep(event)
    assert bucket_keys() == []

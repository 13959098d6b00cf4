import json
from io import StringIO
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from functions.follow_images import app
from functions.upload_image import app as upload_image
from image_pipeline import settings
from image_pipeline.errors import RefusedError
from image_pipeline.models import STANDARD_SIZES, ThumbnailSize
from image_pipeline.storage import clients, keys, search_index, table, thumbnail_store
from tests.events import load_event, upload_event
from tests.faults.injection import KilledError
from tests.pictures import scene_png
from tests.stored import bucket_keys, table_items
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID

OTHER_ID = "0" + IMAGE_ID[1:]
pytestmark = pytest.mark.usefixtures("aws")


def follow(event: dict[str, Any]) -> list[str]:
    """Return the ids of the records that failed."""
    response = app.lambda_handler(event, LocalContext("FollowImagesFunction"))
    return [str(failure["itemIdentifier"]) for failure in response["batchItemFailures"]]


def leftovers() -> list[str]:
    found = clients.sqs().receive_message(QueueUrl=settings.leftovers_queue_url(), MaxNumberOfMessages=10)
    return [message["Body"] for message in found.get("Messages", [])]


@pytest.fixture
def files(aws: None) -> None:  # noqa: ARG001 - it is needed first
    """Store the files of two images: IMAGE_ID and OTHER_ID."""
    for image_id in (IMAGE_ID, OTHER_ID):
        for size in ThumbnailSize:
            thumbnail_store.put(keys.thumbnail(image_id, size, "jpg"), b"x")
        clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(image_id), Body=b"x")


def stored_keys() -> set[str]:
    return {*bucket_keys(), *bucket_keys(settings.uploads_bucket())}


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("event", ["follow_images_deleted", "follow_images_leftover"])
def test_an_image_that_the_index_will_always_refuse_is_logged_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, logged: StringIO, event: str
) -> None:
    monkeypatch.setattr(search_index, "update", Mock(side_effect=RefusedError))
    assert follow(load_event(event)) == []
    # The image is gone, and so are its files.
    assert not [key for key in stored_keys() if IMAGE_ID in key]
    assert leftovers() == []
    assert "not indexed" in logged.getvalue()


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("event", ["follow_images_removed", "follow_images_deleted", "follow_images_leftover"])
def test_only_the_files_of_the_image_are_deleted(event: str) -> None:
    assert follow(load_event(event)) == []
    thumbnails = {keys.thumbnail(OTHER_ID, size, "jpg") for size in ThumbnailSize}
    assert stored_keys() == {*thumbnails, keys.uploaded_file(OTHER_ID)}
    assert leftovers() == []


def test_missing_files_are_not_an_error() -> None:
    assert follow(load_event("follow_images_removed")) == []


REFUSALS = [ClientError({"Error": {"Code": "SlowDown"}}, "DeleteObjects"), ReadTimeoutError(endpoint_url="test")]


@pytest.fixture(params=REFUSALS)
def refusing_s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, aws: None) -> None:  # noqa: ARG001
    monkeypatch.setattr(clients.s3(), "delete_objects", Mock(side_effect=request.param))


@pytest.mark.usefixtures("refusing_s3")
def test_files_that_s3_does_not_delete_wait_in_a_queue() -> None:
    assert follow(load_event("follow_images_removed")) == []
    assert leftovers() == [IMAGE_ID]


@pytest.mark.usefixtures("refusing_s3")
def test_a_leftover_that_s3_still_refuses_stays_in_the_queue() -> None:
    event = load_event("follow_images_leftover")
    assert follow(event) == [event["Records"][0]["messageId"]]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("body", ["", "x", IMAGE_ID.upper(), f"{IMAGE_ID} ", '{"DDBStreamBatchInfo": {}}'])
def test_a_message_that_is_no_image_id_stays_in_the_queue_and_does_not_stop_others(body: str, logged: StringIO) -> None:
    event = load_event("follow_images_leftover")
    odd = event["Records"][0] | {"messageId": "odd", "body": body}
    event["Records"].insert(0, odd)
    assert follow(event) == ["odd"]
    assert keys.uploaded_file(IMAGE_ID) not in stored_keys()
    (line,) = [line for line in map(json.loads, logged.getvalue().splitlines()) if line["level"] == "ERROR"]
    assert (line["message_id"], line["exception_name"]) == ("odd", "ValueError")


@pytest.mark.usefixtures("refusing_s3")
def test_a_record_that_cannot_be_queued_is_repeated_by_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEFTOVERS_QUEUE_URL", "https://queue.amazonaws.com/123456789012/gone")
    event = load_event("follow_images_removed")
    assert follow(event) == [event["Records"][0]["dynamodb"]["SequenceNumber"]]


def test_the_thumbnails_of_a_killed_upload_are_deleted_with_its_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients.dynamodb(), "transact_write_items", Mock(side_effect=KilledError))
    with pytest.raises(KilledError):
        upload_image.lambda_handler(upload_event(scene_png()), LocalContext("UploadImageFunction"))
    assert len(bucket_keys()) == len(STANDARD_SIZES)
    (item,) = table_items("")
    assert item["status"] == "processing"
    assert item["expires_at"]
    event = load_event("follow_images_removed")
    key = event["Records"][0]["dynamodb"]["Keys"] = table.serialize({"pk": item["pk"], "sk": item["sk"]})
    clients.dynamodb().delete_item(TableName=settings.table_name(), Key=key)
    assert follow(event) == []
    assert bucket_keys() == []

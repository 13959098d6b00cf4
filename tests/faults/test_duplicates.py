"""Injects every fault into every call of uploads with duplicates=return. Then the client retries."""

import json
import os
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from PIL import Image

from functions.delete_image import app as delete_image
from functions.follow_images import app as follow_images
from functions.upload_image import app as upload_image
from image_pipeline.models import STANDARD_SIZES
from image_pipeline.storage import hashes, records, table
from image_pipeline.storage import keys as names
from image_pipeline.threads import ThreadPool
from image_processing import uploads
from image_processing.captions import Captioner
from tests.events import load_event, upload_event
from tests.faults.injection import ONCE, Call, Fault, KilledError, faults, only
from tests.faults.pipeline import LEASE_SECONDS, Item, Pipeline, keys, stored
from tests.pictures import encode
from tools.local.gateway import LocalContext

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
# On moto they take much longer. There the images have no owner.
STORAGE = ["Owners=caller", *(["moto"] if os.environ.get("FAULTS") == "all" else [])]
with_storage = pytest.mark.parametrize("pipeline", STORAGE, indirect=True)
with_and_without_key = pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without"])


@pytest.fixture(autouse=True)
def finding(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - its environment is first
    monkeypatch.setenv("DUPLICATES", "find")


def files() -> Iterator[bytes]:
    """Yield different files."""
    return (encode(Image.new("RGB", (8, 8), (number, 0, 0))) for number in count())


def images(content: bytes) -> list[Item]:
    """Return the finished images with this file that have not expired."""
    found = [item for item in stored() if item["sk"] == "IMAGE" and item["status"] == "success"]
    now = time.time()
    return [
        item
        for item in found
        if item["sha256"] == sha256(content).hexdigest() and item.get("expires_at", now + 1) > now
    ]


def upload_until_done(pipeline: Pipeline, content: bytes, key: str | None) -> None:
    """Repeat an upload as clients do."""
    status = pipeline.upload(content, key, "return")
    if status == 409:
        assert key, "only a key can be in use"
        pipeline.clock += LEASE_SECONDS + 1
        status = pipeline.upload(content, key, "return")
    assert status == 200


def suffer(pipeline: Pipeline, fault: Fault, key: str | None, prepare: Callable[[bytes], object]) -> None:
    """Inject the fault into each call of an upload, each time with another file. `prepare` gets the file first."""
    contents = files()
    content = next(contents)
    prepare(content)
    with faults(lambda _: None) as calls:
        assert pipeline.upload(content, key and f"{key}-first", "return") == 200
    for number, call in enumerate(sorted({call for call in calls if fault.strikes(call.operation)}, key=str)):
        content, own_key = next(contents), key and f"{key}-{number}"
        prepare(content)
        with faults(only(call, fault)) as made:
            status = pipeline.upload(content, own_key, "return")
        assert call in made
        if fault in ONCE:
            assert status == 200, call
        assert len(images(content)) <= 1, "two images"
        pipeline.check()
        upload_until_done(pipeline, content, own_key)
        upload_until_done(pipeline, content, None)
        (image,) = images(content)
        assert hashes.image_of(pipeline.owner, image["sha256"]) == image["image_id"]
        assert image["image_id"] in pipeline.acknowledged
        pipeline.check()


@with_storage
@with_and_without_key
@pytest.mark.parametrize("fault", Fault)
def test_a_new_file_becomes_one_image(pipeline: Pipeline, fault: Fault, key: str | None) -> None:
    suffer(pipeline, fault, key, lambda _: None)
    pipeline.check_after_expiry()


@with_storage
@with_and_without_key
@pytest.mark.parametrize("fault", Fault)
def test_a_known_file_stays_one_image(pipeline: Pipeline, fault: Fault, key: str | None) -> None:
    suffer(pipeline, fault, key, lambda content: pipeline.upload(content, None))
    pipeline.check_after_expiry()


@with_storage
@with_and_without_key
@pytest.mark.parametrize("fault", Fault)
def test_a_file_that_is_stored_meanwhile_stays_one_image(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, fault: Fault, key: str | None
) -> None:
    known = uploads._known  # noqa: SLF001 - another upload ends after this question

    def prepare(content: bytes) -> None:
        pipeline.upload(content, None)
        asked = count()
        monkeypatch.setattr(uploads, "_known", lambda *arguments: known(*arguments) if next(asked) else None)

    suffer(pipeline, fault, key, prepare)
    follow_given_back()
    pipeline.check_after_expiry()


def follow_given_back() -> None:
    """Send the events of the stream for the image items that uploads have deleted."""
    ids = {item["pk"].removeprefix("IMAGE#") for item in stored() if item["sk"] == "IMAGE"}
    for image_id in {key.partition("/")[0] for key in keys()} - ids:
        event = load_event("follow_images_removed")
        event["Records"][0]["dynamodb"]["Keys"] = table.serialize(names.image(image_id))
        follow_images.lambda_handler(event, LocalContext("FollowImagesFunction"))


@with_storage
@pytest.mark.parametrize("fault", Fault)
def test_an_image_that_is_gone_is_replaced(pipeline: Pipeline, fault: Fault) -> None:
    def prepare(content: bytes) -> None:
        pipeline.upload(content, None)
        (image,) = images(content)
        table.update(
            names.image(image["image_id"]),
            "SET expires_at = :past",
            ExpressionAttributeValues=table.serialize({":past": int(time.time()) - 1}),
        )
        assert not images(content)

    suffer(pipeline, fault, None, prepare)


@with_storage
@pytest.mark.parametrize("fault", Fault)
def test_a_deletion_leaves_no_hash_and_loses_none(pipeline: Pipeline, fault: Fault) -> None:
    def delete(image_id: str) -> int | None:
        event = pipeline.sent(load_event("delete_image"))
        event["pathParameters"]["image_id"] = image_id
        try:
            return int(delete_image.lambda_handler(event, LocalContext("DeleteImageFunction"))["statusCode"])
        except KilledError:
            return None

    contents = files()

    def stored_image(content: bytes) -> Item:
        assert pipeline.upload(content, None, "return") == 200
        (image,) = images(content)
        return image

    image = stored_image(next(contents))
    with faults(lambda _: None) as calls:
        assert delete(image["image_id"]) == 200
    assert Call("TransactWriteItems", 0) in calls
    for call in (call for call in calls if fault.strikes(call.operation)):
        content = next(contents)
        image = stored_image(content)
        with faults(only(call, fault)):
            status = delete(image["image_id"])
        assert status in ({200} if fault in ONCE else {200, 503, None})
        named = hashes.image_of(pipeline.owner, image["sha256"])
        assert named == (image["image_id"] if images(content) else None)
        assert delete(image["image_id"]) in {200, 404}
        assert hashes.image_of(pipeline.owner, image["sha256"]) is None
        assert stored_image(content)["image_id"] != image["image_id"]


@pytest.mark.parametrize("pipeline", ["Owners=caller"], indirect=True)
def test_eight_equal_uploads_at_once_are_one_image(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    caption, all_there = Captioner.caption, Barrier(8)

    def at_once(*arguments: Any) -> Any:
        all_there.wait(60)
        return caption(*arguments)

    monkeypatch.setattr(Captioner, "caption", at_once)
    content = next(files())

    def upload(number: int) -> Any:
        event = pipeline.sent(upload_event(content))
        event["queryStringParameters"] = {"duplicates": "return"}
        if number % 2:
            event["headers"]["Idempotency-Key"] = f"{KEY}-{number}"
        return upload_image.lambda_handler(event, LocalContext("UploadImageFunction"))

    with ThreadPool(8) as pool:
        responses = list(pool.map(upload, range(8)))
    assert [response["statusCode"] for response in responses] == [200] * 8
    (image_id,) = {json.loads(response["body"])["data"]["image_id"] for response in responses}
    assert sorted(response["headers"].get("Duplicate-Of", "") for response in responses) == ["", *[image_id] * 7]
    assert records.statistics(pipeline.owner).success == len(images(content)) == 1
    pipeline.check()
    assert len(keys()) == 8 * len(STANDARD_SIZES)

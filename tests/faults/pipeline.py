"""A client that calls the functions, and checks of the storage that must hold after any fault."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from functions.check_images import app as check_images
from functions.create_upload import app as create_upload
from functions.follow_images import app as follow_images
from functions.get_image import app as get_image
from functions.get_stats import app as get_stats
from functions.get_thumbnail import app as get_thumbnail
from functions.list_images import app as list_images
from functions.process_upload import app as process_upload
from functions.upload_image import app as upload_image
from image_pipeline import settings
from image_pipeline.models import SHARED
from image_pipeline.storage import clients, table
from tests import callers
from tests.events import load_event, upload_event
from tests.faults.injection import KilledError
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID

LEASE_SECONDS = 30
Item = dict[str, Any]
READERS = {
    "list_images": list_images,
    "get_image": get_image,
    "check_images": check_images,
    "get_thumbnail_small": get_thumbnail,
    "get_stats": get_stats,
}


class Pipeline:
    """Calls the functions, and remembers which images they acknowledged. `clock` is added to the time, in seconds.

    With a `caller`, the stack has Owners=caller and limits, and this caller sends all requests.
    """

    def __init__(self, caller: str | None = None) -> None:
        self.caller = caller
        self.owner = SHARED if caller is None else callers.owner(caller)
        self.acknowledged: dict[str, Item] = {}
        self.images_of_keys: dict[str, set[str]] = defaultdict(set)
        self.requested: dict[str, bytes] = {}
        self.clock = 0.0

    def empty(self) -> None:
        """Delete all items and objects, and forget all uploads."""
        self.acknowledged.clear()
        self.images_of_keys.clear()
        self.clock = 0.0
        for item in stored():
            key = table.serialize({"pk": item["pk"], "sk": item["sk"]})
            clients.dynamodb().delete_item(TableName=settings.table_name(), Key=key)
        self.requested.clear()
        for bucket in (settings.bucket_name(), settings.uploads_bucket()):
            for name in keys(bucket):
                clients.s3().delete_object(Bucket=bucket, Key=name)

    def upload(self, content: bytes, key: str | None, duplicates: str | None = None) -> int | None:
        """Upload a file. Return the status, or None if the process was killed."""
        event = self.sent(upload_event(content))
        if duplicates is not None:
            event["queryStringParameters"] = {"duplicates": duplicates}
        if key is not None:
            event["headers"]["Idempotency-Key"] = key
        now = time.time() + self.clock
        with patch("time.time", lambda: now):
            try:
                response = upload_image.lambda_handler(event, LocalContext("UploadImageFunction"))
            except KilledError:
                return None
        status: int = response["statusCode"]
        body = json.loads(response["body"])
        if status == 200:
            self.acknowledged[body["data"]["image_id"]] = body["data"]
            if key is not None:
                self.images_of_keys[key].add(body["data"]["image_id"])
                assert len(self.images_of_keys[key]) == 1, "two images for one key"
        assert status in {200, 400, 409, 422, 503}, body
        assert (status in {409, 503}) == ("Retry-After" in response["headers"])
        return status

    def request_upload(self, content: bytes) -> str | None:
        """Request a direct upload and send the file. Return the image id, or None if no response had one."""
        try:
            event = self.sent(load_event("create_upload"))
            response = create_upload.lambda_handler(event, LocalContext("CreateUploadFunction"))
        except KilledError:
            return None
        assert response["statusCode"] in {201, 503}, response
        if response["statusCode"] == 503:
            return None
        image_id: str = json.loads(response["body"])["data"]["image_id"]
        self.requested[image_id] = content
        return image_id

    def process(self, image_id: str, number: int = 1) -> bool:
        """Deliver the message about a file, for the `number`-th time. Return whether the worker is done with it."""
        event = load_event("process_upload")
        event["Records"][0]["attributes"]["ApproximateReceiveCount"] = str(number)
        event["Records"][0]["body"] = event["Records"][0]["body"].replace(IMAGE_ID, image_id)
        now = time.time() + self.clock
        with patch("time.time", lambda: now):
            try:
                response = process_upload.lambda_handler(event, LocalContext("ProcessUploadFunction", seconds=120))
            except KilledError:
                return False
        return not response["batchItemFailures"]

    def read(self, what: str, image_id: str) -> tuple[int | None, Item]:
        """Call a reading function. Return status and body. Functions that read named images get `image_id`."""
        event = self.sent(load_event(what))
        event["body"] = event["body"] and event["body"].replace(IMAGE_ID, image_id)
        if event["pathParameters"]:
            event["pathParameters"]["image_id"] = image_id
        try:
            response = READERS[what].lambda_handler(event, LocalContext(what))
        except KilledError:
            return None, {}
        status: int = response["statusCode"]
        body: Item = json.loads(response["body"])
        assert status in {200, 404, 503}, body
        assert (status == 503) == ("Retry-After" in response["headers"])
        return status, body

    def check_read(self, what: str, image_id: str, status: int | None, body: Item) -> None:
        """Assert that a response matches what is stored."""
        images = [item for item in stored() if item["sk"] == "IMAGE"]
        finished = {item["image_id"]: item for item in images if item["status"] == "success"}
        match status, what:
            case 404, _:
                assert image_id not in finished
            case 200, "list_images":
                shown = {name: image["data"]["caption"] for name, image in body.get("content", {}).items()}
                assert shown == {name: item["caption"] for name, item in finished.items()}
            case 200, "get_stats":
                failed = [item for item in images if item["status"] == "failure"]
                assert (body["data"]["success"], body["data"]["failure"]) == (len(finished), len(failed))
            case 200, "check_images":
                shown = {name: image["data"]["caption"] for name, image in body["content"].items()}
                asked = {image_id} & set(finished)
                assert shown == {name: finished[name]["caption"] for name in asked}
                # The event also names an image that does not exist.
                assert len(body["missing"]) == 2 - len(asked)
            case 200, "get_image":
                data = body["data"]["data"]
                assert (data["image_id"], data["caption"]) == (image_id, finished[image_id]["caption"])
            case 200, _:
                assert finished[image_id]["thumbnails"]["small"] in body["data"]

    def check(self) -> None:
        """Assert the promises of the pipeline. No upload may be running."""
        items = stored()
        images = [item for item in items if item["sk"] == "IMAGE"]
        finished = {item["image_id"]: item for item in images if item["status"] == "success"}
        failed = [item for item in images if item["status"] == "failure"]
        objects = set(keys())

        for image_id, shown in self.acknowledged.items():
            assert image_id in finished, "an acknowledged image is missing"
            assert finished[image_id]["caption"] == shown["caption"]
        for item in finished.values():
            assert set(item["thumbnails"].values()) <= objects, "a listed image lacks a thumbnail"

        statistics = [item for item in items if item["sk"] == "STATS"]
        assert sum(shard.get("success", 0) for shard in statistics) == len(finished)
        assert sum(shard.get("failure", 0) for shard in statistics) == len(failed)
        spent = sum((shard.get("total_processing_time", Decimal(0)) for shard in statistics), Decimal(0))
        assert spent == sum((item["time_taken"] for item in finished.values()), Decimal(0))

        told = {item["image_id"] for item in items if item["sk"] == "REQUEST" and item["status"] == "success"}
        assert told <= set(finished), "a request item refers to an image that does not exist"

        named = {item["image_id"] for item in items if item["sk"] == "HASH"}
        assert named <= set(finished), "a hash names an image that does not exist"

    def expire(self) -> Iterator[Item]:
        """Delete the image items that have a TTL. Yield the event that FollowImagesFunction gets for each of them."""
        for item in stored():
            if item["sk"] == "IMAGE" and "expires_at" in item:
                key = table.serialize({"pk": item["pk"], "sk": item["sk"]})
                clients.dynamodb().delete_item(TableName=settings.table_name(), Key=key)
                event = load_event("follow_images_removed")
                event["Records"][0]["dynamodb"]["Keys"] = key
                yield event

    def check_after_expiry(self) -> None:
        """Delete the image items that have a TTL, run FollowImagesFunction, and assert that every object has a record.

        Call this last. `check` fails after it, because it deletes the items of failures but not their count.
        """
        for event in self.expire():
            follow_images.lambda_handler(event, LocalContext("FollowImagesFunction"))
        self.check_counts()
        finished = {item["image_id"] for item in stored() if item["sk"] == "IMAGE"}
        assert {key.partition("/")[0] for key in keys()} == finished, "an object has no record"
        assert set(self.acknowledged) <= finished
        for image_id, shown in self.acknowledged.items():
            status, body = self.read("get_image", image_id)
            assert status == 200
            assert body["data"]["data"]["caption"] == shown["caption"]

    def sent(self, event: Item) -> Item:
        """Return an event as API Gateway makes it for the caller."""
        return event if self.caller is None else callers.sent_by(self.caller, event)

    def check_counts(self) -> None:
        """Assert that the limits of the caller count exactly its images. FollowImagesFunction must have seen all."""
        gone = {"deleted", "failure"}
        images = [item for item in stored() if item["sk"] == "IMAGE" and item["status"] not in gone]
        places = [item for item in stored() if item["sk"] == "PLACE"]
        totals = [item["counted"] for item in stored() if item["sk"] == "TOTAL"]
        expected = len(images) if self.caller else 0
        assert (len(places), sum(totals)) == (expected, expected), "the counts of the owner are wrong"


def stored() -> list[Item]:
    pages = clients.dynamodb().get_paginator("scan").paginate(TableName=settings.table_name(), ConsistentRead=True)
    return [table.deserialize(item) for page in pages for item in page["Items"]]


def keys(bucket: str | None = None) -> list[str]:
    """Return the keys in a bucket, by default the bucket for thumbnails."""
    pages = clients.s3().get_paginator("list_objects_v2").paginate(Bucket=bucket or settings.bucket_name())
    return [item["Key"] for page in pages for item in page.get("Contents", [])]

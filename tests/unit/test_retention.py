"""What recovery needs outlives the recovery, and docs/reliability.md says how long everything is kept."""

import time
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from clients.upload_folder import uploader
from image_pipeline import deadline, settings
from image_pipeline.models import SHARED
from image_pipeline.storage import claims, file_store, keys, quotas, records, table, uploads_queue
from tools import template
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID

MAX_FUNCTION_TIME = timedelta(minutes=15)
# DynamoDB keeps a record of a stream for this time.
STREAM_TIME = timedelta(hours=24)


@cache
def properties_of(name: str) -> dict[str, Any]:
    """Return the properties of a queue or a bucket."""
    properties: dict[str, Any] = template.read()["Resources"][name]["Properties"]
    return properties


def kept(name: str) -> timedelta:
    """Return how long a queue keeps a message."""
    return timedelta(seconds=properties_of(name)["MessageRetentionPeriod"])


def hidden(name: str) -> timedelta:
    """Return the visibility timeout of a queue."""
    return timedelta(seconds=properties_of(name)["VisibilityTimeout"])


def tried(name: str) -> timedelta:
    """Return after which time a queue gives up a message, if each delivery waits for the visibility timeout."""
    deliveries: int = properties_of(name)["RedrivePolicy"]["maxReceiveCount"]
    return deliveries * hidden(name)


def timeout(function: str) -> timedelta:
    return timedelta(seconds=template.number(template.read(), template.functions(template.read())[function]["Timeout"]))


def file_time() -> timedelta:
    rules = properties_of("UploadsBucket")["LifecycleConfiguration"]["Rules"]
    (days,) = (rule["ExpirationInDays"] for rule in rules if rule.get("Prefix") == "uploads/")
    return timedelta(days=days)


def lease_of_a_form() -> timedelta:
    now = time.time()
    claims.claim(SHARED, "a-key", "0" * 64)
    return lease(keys.request(SHARED, "a-key"), now)


def lease_of_a_worker() -> timedelta:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    now = time.time()
    with deadline.of({}, LocalContext("ProcessUploadFunction", seconds=timeout("ProcessUploadFunction").seconds)):
        claims.take(IMAGE_ID)
    return lease(keys.image(IMAGE_ID), now)


def lease(key: dict[str, str], now: float) -> timedelta:
    item = table.find(key)
    assert item
    return timedelta(seconds=round(int(item["lease"]) / 1000 - now))


def text(time: timedelta) -> str:
    """Return a time as the page writes it."""
    if time == timedelta(hours=1):
        return "1 hour"
    for unit, name in ((timedelta(days=1), "days"), (timedelta(hours=1), "hours"), (timedelta(minutes=1), "minutes")):
        if time >= 2 * unit and time % unit == timedelta(0):
            return f"{time // unit} {name}"
    return f"{time.seconds} s"


@pytest.mark.usefixtures("aws")
def test_the_page_says_how_long_everything_is_kept() -> None:
    page = (template.ROOT / "docs" / "reliability.md").read_text()
    section = page.split("## What is kept how long")[1].partition("\n## ")[0]
    _, _, *rows = [line.split("|") for line in section.splitlines() if line.startswith("|")]
    assert settings.retention_days() == 0
    assert {what.strip(): how_long.strip() for _, what, how_long, *_ in rows} == {
        "image item, finished": "forever, or `RetentionDays`",
        "image item, direct upload that is not finished or failed temporarily": text(claims.REQUEST_RETENTION),
        "image item, upload by form while it runs": text(claims.UNFINISHED_RETENTION),
        "image item, failed": text(records.FAILURE_RETENTION),
        "image item, deleted": text(claims.UNFINISHED_RETENTION),
        "file in `uploads/`, if it is not processed": text(file_time()),
        "message in UploadsQueue": text(kept("UploadsQueue")),
        "message in UploadsQueue, hidden from other workers": text(hidden("UploadsQueue")),
        "message in UploadsDeadLetterQueue": text(kept("UploadsDeadLetterQueue")),
        "message in LeftoversQueue": text(tried("LeftoversQueue")),
        "message in LeftoversDeadLetterQueue": text(kept("LeftoversDeadLetterQueue")),
        "record in the stream of the table": text(STREAM_TIME),
        "message in StreamDeadLetterQueue": text(kept("StreamDeadLetterQueue")),
        "`Idempotency-Key`": text(claims.KEY_RETENTION),
        "count of the uploads of an owner on a day": text(quotas.COUNT_RETENTION),
        "lease of an upload by form": text(lease_of_a_form()),
        "lease of a worker": text(lease_of_a_worker()),
        "form of a direct upload": text(file_store.UPLOAD_FORM_LIFETIME),
        "presigned URL": text(timedelta(seconds=settings.url_expiry_seconds())),
        "key in the journal of [the folder command](upload-folder.md)": text(timedelta(seconds=uploader.KEY_SECONDS)),
        "everything else in that journal": "forever",
    }
    for sentence in ("for 14 days", f"live for {text(claims.REQUEST_RETENTION)}", "at most 120 s", "15 minutes"):
        assert sentence in section


def test_item_and_file_of_a_direct_upload_outlive_its_message_and_one_redrive() -> None:
    assert tried("UploadsQueue") < kept("UploadsQueue") <= kept("UploadsDeadLetterQueue")
    assert 2 * kept("UploadsDeadLetterQueue") + tried("UploadsQueue") < claims.REQUEST_RETENTION
    assert file_store.UPLOAD_FORM_LIFETIME < claims.REQUEST_RETENTION
    # The file arrives after its item is created.
    assert file_time() >= claims.REQUEST_RETENTION


@pytest.mark.usefixtures("aws")
def test_a_message_comes_back_after_the_lease_of_its_worker_and_the_lease_ends_after_the_worker() -> None:
    assert timeout("ProcessUploadFunction") < lease_of_a_worker() < hidden("UploadsQueue")
    # As AWS recommends.
    assert 6 * timeout("ProcessUploadFunction") <= hidden("UploadsQueue")
    assert timedelta(seconds=max(uploads_queue.WAIT_SECONDS.values())) < hidden("UploadsQueue")
    assert max(uploads_queue.WAIT_SECONDS) == claims.MAX_ATTEMPTS


@pytest.mark.usefixtures("aws")
def test_the_item_of_a_running_upload_or_a_deletion_outlives_every_attempt() -> None:
    for function in template.functions(template.read()):
        assert timeout(function) <= MAX_FUNCTION_TIME < claims.UNFINISHED_RETENTION
    assert timeout("UploadImageFunction") < claims.KEY_RETENTION
    assert lease_of_a_form() < claims.KEY_RETENTION
    # A client may use its key until then, and repeat the request for a while.
    assert timedelta(seconds=uploader.KEY_SECONDS) < claims.KEY_RETENTION - timedelta(minutes=30)


def test_the_id_of_an_image_waits_for_the_deletion_of_its_files_until_somebody_looks() -> None:
    assert tried("LeftoversQueue") < kept("LeftoversQueue")
    assert tried("LeftoversQueue") + timedelta(days=7) < kept("LeftoversDeadLetterQueue")
    assert kept("StreamDeadLetterQueue") > STREAM_TIME

"""How many images an owner may have, and may upload in a day: OwnerMaxImages and OwnerDailyUploads."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest

from functions.create_upload import app as create_upload
from functions.delete_image import app as delete_image
from functions.follow_images import app as follow_images
from functions.upload_image import app as upload_image
from image_pipeline import settings
from image_pipeline.errors import CaptionError, StorageError
from image_pipeline.models import SHARED
from image_pipeline.storage import claims, clients, keys, quotas, records, table
from image_processing import direct_uploads
from image_processing.captions import Captioner
from tests import callers
from tests.deployed_stack import STACK
from tests.events import load_event, upload_event
from tests.faults.injection import Call, Fault, KilledError, faults, only
from tests.pictures import scene_png
from tests.stored import bucket_keys, table_items
from tools.local.gateway import LocalContext
from tools.local.sample_images import sample_image, store_sample
from tools.stack import assign, deployed, forget, reindex

pytestmark = pytest.mark.usefixtures("aws")
KEY_IDS = {"me": "aaaaaaaaaa", "other": "bbbbbbbbbb"}
ME, OTHER = (callers.owner(key_id) for key_id in KEY_IDS.values())


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets the limits."""

    def limit(images: int = 0, daily: int = 0) -> None:
        monkeypatch.setenv("OWNER_MAX_IMAGES", str(images))
        monkeypatch.setenv("OWNER_DAILY_UPLOADS", str(daily))

    return limit


def send(app: Any, event: dict[str, Any], caller: str = "me") -> tuple[int, Any, dict[str, str]]:
    response = app.lambda_handler(callers.sent_by(KEY_IDS[caller], event), LocalContext(app.__name__))
    return response["statusCode"], json.loads(response["body"]), response["headers"]


def upload(caller: str = "me", key: str | None = None, content: bytes | None = None) -> tuple[int, Any, dict[str, str]]:
    event = upload_event(content or scene_png())
    if key is not None:
        event["headers"]["Idempotency-Key"] = key
    return send(upload_image, event, caller)


def uploaded(caller: str = "me", key: str | None = None) -> str:
    status, body, _ = upload(caller, key)
    assert status == 200, body
    return str(body["data"]["image_id"])


def form(caller: str = "me") -> tuple[int, Any, dict[str, str]]:
    return send(create_upload, load_event("create_upload"), caller)


def delete(image_id: str) -> None:
    event = load_event("delete_image")
    event["pathParameters"]["image_id"] = image_id
    assert send(delete_image, event)[0] == 200
    follow(image_id)


def follow(*image_ids: str) -> None:
    """Let FollowImagesFunction see changes of images."""
    event = load_event("follow_images_finished")
    (record,) = event["Records"]
    for image_id in image_ids:
        text = json.dumps(record).replace(keys.image_id(record["dynamodb"]["Keys"]["pk"]["S"]), image_id)
        follow_images.lambda_handler({"Records": [json.loads(text)]}, LocalContext("FollowImagesFunction"))


def follow_all() -> None:
    follow(*{keys.image_id(item["pk"]) for item in table_items("IMAGE#")})


def expire(image_id: str) -> None:
    """Let DynamoDB remove an item that has expired."""
    key = keys.image(image_id)
    clients.dynamodb().delete_item(TableName=settings.table_name(), Key=table.serialize(key))
    follow(image_id)


def counts(owner: str = ME) -> tuple[int, int]:
    """Return how many images and how many uploads of today are counted."""
    found = {item["sk"]: int(item["counted"]) for item in table_items(f"OWNER#{owner}")}
    return found.get("TOTAL", 0), found.get(datetime.now(UTC).date().isoformat(), 0)


def places() -> list[str]:
    return [item["owner"] for item in table_items("IMAGE#") if item["sk"] == "PLACE"]


def test_without_limits_nothing_is_counted() -> None:
    delete(uploaded())
    assert form()[0] == 201
    assert (places(), table_items("OWNER#")) == ([], [])


def test_images_that_all_clients_share_have_no_limit(limits: Any) -> None:
    limits(images=1, daily=1)
    for _ in range(2):
        response = upload_image.lambda_handler(upload_event(scene_png()), LocalContext("UploadImageFunction"))
        assert response["statusCode"] == 200
    assert (places(), table_items("OWNER#")) == ([], [])


def test_an_owner_has_at_most_so_many_images(limits: Any, captioned: Mock) -> None:
    limits(images=2)
    first, _ = uploaded(), uploaded()
    captioned.reset_mock()
    for status, body, headers in (upload(), form()):
        assert status == 429
        assert body["error"] == "You have reached the limit of 2 images. Please delete images that you do not need."
        assert "Retry-After" not in headers
    # It was refused before the model ran, and left nothing.
    assert not captioned.called
    assert len([key for key in bucket_keys() if key.endswith("small.png")]) == 2
    assert records.statistics(ME).failure == 0
    assert uploaded("other")
    delete(first)
    assert counts() == (1, 2)
    assert form()[0] == 201
    assert upload()[0] == 429


def test_an_owner_uploads_at_most_so_many_images_a_day(limits: Any) -> None:
    limits(daily=2)
    first = uploaded()
    assert form()[0] == 201
    delete(first)
    for status, body, headers in (upload(), form()):
        midnight = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
        assert status == 429
        assert body["error"].startswith("You have reached the limit of 2 uploads per day.")
        assert 0 <= int(headers["Retry-After"]) - (midnight - datetime.now(UTC)).total_seconds() < 60
    assert uploaded("other")


def test_the_next_day_begins_at_midnight(limits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits(daily=1)
    uploaded()
    late = datetime.combine(datetime.now(UTC).date(), datetime.max.time(), UTC).replace(microsecond=0)
    clock = Mock(wraps=datetime)
    monkeypatch.setattr(quotas, "datetime", clock)
    clock.now.side_effect = lambda _: late
    assert upload()[2]["Retry-After"] == "1"
    clock.now.side_effect = lambda _: late + timedelta(seconds=1)
    assert upload()[0] == 200
    # The count of a day is kept no longer than it is needed.
    expiries = [item["expires_at"] for item in table_items("OWNER#") if item["sk"] != "TOTAL"]
    assert all(time.time() + 86_400 < expiry < time.time() + 4 * 86_400 for expiry in expiries)


def test_a_known_idempotency_key_needs_no_place_and_a_refused_one_can_be_sent_again(limits: Any) -> None:
    limits(images=1)
    image_id = uploaded(key="first")
    assert uploaded(key="first") == image_id
    assert [upload(key="second")[0] for _ in range(2)] == [429, 429]
    delete(image_id)
    assert uploaded(key="second") != image_id
    assert counts() == (1, 2)


def test_an_upload_that_fails_gives_back_its_place(limits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits(images=1, daily=1)
    assert upload(content=scene_png()[:200])[0] == 400
    with monkeypatch.context() as patch:
        patch.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
        assert upload()[0] == 500
    assert counts() == (1, 1)
    follow_all()
    assert counts() == (0, 0)
    assert uploaded()


def test_an_upload_that_dies_gives_back_its_place_when_its_item_expires(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(images=1, daily=1)
    with monkeypatch.context() as patch:
        patch.setattr(Captioner, "caption", Mock(side_effect=KilledError))
        with pytest.raises(KilledError):
            upload()
    follow_all()
    assert counts() == (1, 1)
    (dead,) = images("processing")
    expire(dead)
    assert (counts(), places()) == ((0, 0), [])


def test_a_form_that_nobody_uses_gives_back_the_image_but_not_an_earlier_day(limits: Any) -> None:
    limits(images=5, daily=5)
    used, unused = (form()[1]["data"]["image_id"] for _ in range(2))
    place = {**keys.place(unused), "owner": ME, "day": "2020-01-01"}
    table.put(place)
    assert counts() == (2, 2)
    expire(unused)
    assert counts() == (1, 2)
    delete(used)
    assert counts() == (0, 1)


def test_a_direct_upload_is_counted_when_its_form_is_given(limits: Any) -> None:
    limits(images=1)
    image_id = form()[1]["data"]["image_id"]
    assert upload()[0] == 429
    key = keys.uploaded_file(image_id)
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=key, Body=scene_png())
    direct_uploads.process(key, Mock(is_last=False))
    follow_all()
    assert counts() == (1, 1)
    delete(image_id)
    # The image was finished, so its day is used.
    assert counts() == (0, 1)


def test_a_temporary_failure_has_a_place_while_an_attempt_runs(limits: Any) -> None:
    limits(images=1, daily=2)
    image_id = form()[1]["data"]["image_id"]
    failed = records.fail_temporarily(claims.take(image_id)[0])
    follow_all()
    assert counts() == (1, 1)
    claims.release(failed)
    follow_all()
    assert counts() == (0, 0)
    # A redrive brings the image. It has no place, but it is there.
    claim, *_ = claims.take(image_id)
    records.save(claim, replace(sample_image(image_id), owner=ME))
    follow_all()
    assert counts() == (1, 0)
    delete(image_id)
    assert (counts(), places()) == ((0, 0), [])


def test_eight_uploads_at_once_take_exactly_the_places_that_are_left(limits: Any) -> None:
    limits(images=3, daily=5)
    barrier = Barrier(8)

    def at_once(number: int) -> int:
        barrier.wait()
        return upload()[0] if number % 2 else form()[0] - 1

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(at_once, range(8)))[200] == 3
    follow_all()
    assert counts() == (3, 3)
    assert places() == [ME] * 3


def calls_of(action: Any) -> list[Call]:
    with faults(lambda _: None) as calls:
        action()
    return calls


ACTIONS = {"upload": upload, "form": form}


@pytest.mark.parametrize("action", ACTIONS)
def test_the_counts_are_exact_after_every_fault(limits: Any, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits(images=2, daily=200)
    monkeypatch.setattr(table, "_pause", lambda _: None)
    calls = calls_of(ACTIONS[action])
    assert Call("TransactWriteItems", 0) in calls
    for call in calls:
        # Counts change in transactions. After these faults, the other calls make an upload fail, die or go on.
        is_transaction = call.operation == "TransactWriteItems"
        for fault in Fault if is_transaction else (Fault.ERROR, Fault.REPLY_LOST_ONCE, Fault.KILLED_AFTER):
            if not fault.strikes(call.operation):
                continue
            clear()
            with faults(only(call, fault)), suppress(KilledError):
                ACTIONS[action]()
            for image in images("processing"):
                expire(image)
            follow_all()
            held = len(images("success", "requested"))
            assert (counts(), len(places())) == ((held, held), held), (str(call), fault)


def images(*states: str) -> list[str]:
    return [
        keys.image_id(item["pk"])
        for item in table_items("IMAGE#")
        if item["sk"] == "IMAGE" and item["status"] in states
    ]


def clear() -> None:
    for item in table_items(""):
        key = {name: item[name] for name in ("pk", "sk")}
        clients.dynamodb().delete_item(TableName=settings.table_name(), Key=table.serialize(key))


@pytest.mark.usefixtures("stack")
def test_reindex_counts_the_images_from_before_the_limit_and_repairs_the_counts(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in (ME, ME, OTHER, SHARED):
        store_sample(replace(sample_image(), owner=owner))
    limits(images=1)
    monkeypatch.setattr(deployed, "parameters", lambda _: {"OwnerMaxImages": "1"})
    # The record of its deletion was lost.
    table.put({**keys.place(str(uuid4())), "owner": OTHER})
    assert reindex.main([STACK, "--keep-files"]) == 0
    assert (counts(ME)[0], counts(OTHER)[0]) == (2, 0)
    assert reindex.main([STACK, "--keep-files"]) == 0
    assert counts(ME)[0] == 2
    assert upload()[0] == 429


@pytest.mark.usefixtures("stack")
def test_an_assigned_image_is_counted_for_its_new_owner(limits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits(images=2)
    image_id = uploaded()
    monkeypatch.setattr(deployed, "parameters", lambda _: {"ApiAuth": "API_KEY", "OwnerMaxImages": "2"})
    assert assign.main([STACK, f"--from={KEY_IDS['me']}", f"--to={KEY_IDS['other']}", "--yes"]) == 0
    follow(image_id)
    assert (counts(ME), counts(OTHER)) == ((0, 1), (1, 0))
    assert places() == [OTHER]


@pytest.mark.usefixtures("stack")
def test_nothing_is_left_of_an_owner_that_is_forgotten(limits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits(images=9, daily=9)
    uploaded()
    form()
    uploaded("other")
    parameters = {"ApiAuth": "API_KEY", "Owners": "caller", "OwnerMaxImages": "9"}
    monkeypatch.setattr(deployed, "parameters", lambda _: parameters)
    assert forget.main([STACK, f"--owner={KEY_IDS['me']}", "--yes"]) == 0
    follow_all()
    assert [item for item in table_items("OWNER#") if ME in item["pk"]] == []
    assert places() == [OTHER]
    assert counts(OTHER) == (1, 1)


@pytest.mark.usefixtures("stack")
def test_reindex_corrects_the_places_after_a_time_without_limits(limits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits(images=1)
    image_id = uploaded()
    limits()
    uploaded()
    delete(image_id)
    monkeypatch.setattr(deployed, "parameters", lambda _: {"OwnerMaxImages": "1"})
    assert reindex.main([STACK, "--keep-files"]) == 0
    assert counts()[0] == 1
    assert len(places()) == 1


@pytest.mark.parametrize(("is_taken", "day"), [(False, 0), (True, 1)], ids=["requested", "processing"])
def test_who_deletes_an_image_while_it_is_processed_has_used_the_day(limits: Any, day: int, *, is_taken: bool) -> None:
    limits(daily=1)
    image_id = form()[1]["data"]["image_id"]
    if is_taken:
        claims.take(image_id)
    delete(image_id)
    assert counts() == (0, day)
    expire(image_id)
    assert (counts(), places()) == ((0, day), [])


def test_an_image_that_is_finished_while_it_is_settled_does_not_give_back_its_day(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(images=5)
    image_id = form()[1]["data"]["image_id"]
    failed = records.fail_temporarily(claims.take(image_id)[0])
    claims.release(failed)
    write = table.write

    def finished_first(*arguments: Any) -> None:
        monkeypatch.setattr(table, "write", write)
        records.save(claims.take(image_id)[0], replace(sample_image(image_id), owner=ME))
        write(*arguments)

    monkeypatch.setattr(table, "write", finished_first)
    with pytest.raises(StorageError):
        quotas.settle(image_id)
    quotas.settle(image_id)
    assert counts() == (1, 1)

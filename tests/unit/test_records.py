import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, cycle
from secrets import SystemRandom
from threading import Barrier
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError, ReadTimeoutError

from image_pipeline import deadline, settings
from image_pipeline.errors import DeadlineError, ImageNotFoundError, RefusedError, StorageError
from image_pipeline.models import SHARED, STANDARD_SIZES, Statistics, UnfinishedImage
from image_pipeline.storage import claims, clients, keys, records, table
from image_pipeline.storage.claims import Claim
from tests.faults.injection import Body
from tests.stored import table_items
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")


TRANSIENT = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]


def cancelled(*reasons: str) -> ClientError:
    error = ClientError({"Error": {"Code": "TransactionCanceledException"}}, "TransactWriteItems")
    error.response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    return error


def conflict() -> ClientError:
    return cancelled("None", "TransactionConflict")


class FlakyWrites:
    """Replaces `transact_write_items`. The first calls raise `errors`, one per call.

    With `applied`, a call writes before it raises its error.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, errors: list[Exception], *, applied: bool = False) -> None:
        self.write = clients.dynamodb().transact_write_items
        monkeypatch.setattr(clients.dynamodb(), "transact_write_items", self)
        self.errors = errors
        self.applied = applied
        self.tokens: list[str] = []

    def __call__(self, **arguments: Any) -> Any:
        self.tokens.append(arguments["ClientRequestToken"])
        if self.applied or not self.errors:
            self.write(**arguments)
        if self.errors:
            raise self.errors.pop(0)


def record_argument(monkeypatch: pytest.MonkeyPatch, operation: str, argument: str) -> list[Any]:
    """Record the value of `argument` in each call of `operation`. Return the list of these values."""
    call, values = getattr(clients.dynamodb(), operation), []

    def recorded(**arguments: Any) -> Any:
        values.append(arguments[argument])
        return call(**arguments)

    monkeypatch.setattr(clients.dynamodb(), operation, recorded)
    return values


def test_a_stored_record_is_read_back() -> None:
    record = sample_image()
    store_sample(record)
    assert records.get(SHARED, record.image_id) == record


def test_the_format_of_a_stored_image_stays_the_same() -> None:
    store_sample(sample_image(IMAGE_ID), "attempt")
    (item,) = table_items("IMAGE#")
    assert item == {
        "pk": "IMAGE#b480bcff-7fff-45b2-93cf-7a534fe39821",
        "sk": "IMAGE",
        "status": "success",
        "event": "ImageProcessed",
        "listing": "LIST#0",
        "listed_at": "2025-03-16T12:00:00.826114+00:00#b480bcff-7fff-45b2-93cf-7a534fe39821",
        "image_id": "b480bcff-7fff-45b2-93cf-7a534fe39821",
        "original_name": "hehhhh.jpg",
        "processed_at": "2025-03-16T12:00:00.826114+00:00",
        "time_taken": Decimal("0.25"),
        "metadata": {
            "width": 261,
            "height": 216,
            "format": "JPEG",
            "size_bytes": 13962,
            "created_at": "2025-03-16T12:00:00.826114+00:00",
            "modified_at": "2025-03-16T12:00:00.826114+00:00",
        },
        "thumbnails": {size: f"b480bcff-7fff-45b2-93cf-7a534fe39821/thumbnails/{size}.jpg" for size in STANDARD_SIZES},
        "caption": "a cartoon picture of two people standing in front of a city",
        "error": "",
        "caption_model": {"id": "demo", "revision": "2", "precision": "fp32"},
        "caption_prompt": "",
        "caption_confidence": Decimal("0.9876"),
        "dominant_color": "#a9572a",
        "sha256": "0" * 64,
        "owner": SHARED,
        "attempt": "attempt",
    }


def test_a_size_or_a_format_that_only_a_newer_version_has_does_not_hide_an_image() -> None:
    record = sample_image(IMAGE_ID)
    store_sample(record)
    table.update(
        keys.image(IMAGE_ID),
        "SET thumbnails.gigantic = :new, metadata.#format = :new",
        ExpressionAttributeNames={"#format": "format"},
        ExpressionAttributeValues=table.serialize({":new": "new"}),
    )
    assert records.newest(SHARED, 1).records == [replace(record, metadata=replace(record.metadata, format="new"))]


def test_a_record_never_replaces_another() -> None:
    first = sample_image(IMAGE_ID)
    store_sample(first)
    with pytest.raises(StorageError):
        store_sample(sample_image(IMAGE_ID, minutes=1))
    assert records.get(SHARED, IMAGE_ID) == first
    assert sum(item["success"] for item in table_items("STATS")) == 1


def test_an_item_is_never_reserved_twice() -> None:
    claims.reserve(Claim(IMAGE_ID, "first", None), "a.jpg")
    with pytest.raises(StorageError):
        claims.reserve(Claim(IMAGE_ID, "second", None), "a.jpg")
    assert [item["attempt"] for item in table_items("IMAGE#")] == ["first"]


def test_a_reserved_item_is_kept_for_an_hour() -> None:
    claims.reserve(Claim(IMAGE_ID, "attempt", None), "a.jpg")
    assert 0 <= time.time() + 3600 - int(table_items("IMAGE#")[0]["expires_at"]) < 60


def test_a_lost_reply_is_recognised_by_its_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    FlakyWrites(monkeypatch, [ReadTimeoutError(endpoint_url="test")], applied=True)
    record = sample_image()
    store_sample(record)
    assert records.get(SHARED, record.image_id) == record
    assert [item["success"] for item in table_items("STATS")] == [1]


def test_a_success_is_not_taken_for_the_failure_of_the_same_attempt() -> None:
    record = sample_image()
    store_sample(record, "attempt")
    with pytest.raises(StorageError):
        records.fail(Claim(record.image_id, "attempt", None), "failure", "a.jpg", "It failed.")
    assert records.get(SHARED, record.image_id) == record
    assert [item.get("failure") for item in table_items("STATS")] == [None]


def test_a_write_that_never_arrived_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    FlakyWrites(monkeypatch, [ReadTimeoutError(endpoint_url="test")])
    with pytest.raises(StorageError):
        store_sample(sample_image())
    assert table_items("") == []


@pytest.mark.parametrize("reason", TRANSIENT)
def test_a_transaction_with_a_transient_reason_is_tried_again_as_the_same_request(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    contended = FlakyWrites(monkeypatch, [cancelled("None", reason), cancelled(reason, reason)])
    record = sample_image()
    store_sample(record)
    assert len(contended.tokens) == 3
    assert len(set(contended.tokens)) == 1
    assert [item["success"] for item in table_items("STATS")] == [1]


@pytest.mark.parametrize(
    "reasons", [("ValidationError",), ("ThrottlingError", "ConditionalCheckFailed"), ("None",), ()]
)
def test_a_transaction_with_a_lasting_reason_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, reasons: tuple[str, ...]
) -> None:
    refused = FlakyWrites(monkeypatch, [cancelled(*reasons)])
    with pytest.raises(StorageError) as raised:
        store_sample(sample_image())
    assert len(refused.tokens) == 1
    assert isinstance(raised.value, RefusedError) == ("ValidationError" in reasons)


def test_a_request_that_dynamodb_will_always_refuse_is_told_apart() -> None:
    too_long = {"pk": "x" * 2049, "sk": "x", "attempt": "1"}
    with pytest.raises(RefusedError):
        table.put(too_long)
    with pytest.raises(RefusedError):
        table.write_batch([too_long])


@pytest.mark.usefixtures("new_clients")
def test_a_throttled_transaction_is_not_tried_again_without_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def throttle(event_name: str, **_: Any) -> AWSResponse:
        sent.append(event_name)
        body = {"__type": "TransactionCanceledException", "CancellationReasons": [{"Code": "ThrottlingError"}]}
        return AWSResponse("", 400, HTTPHeaders(), Body(json.dumps(body).encode()))

    events: Any = clients.dynamodb().meta.events
    events.register("before-send.dynamodb.TransactWriteItems", throttle)
    now = time.monotonic()

    def pass_time(_: float) -> None:
        nonlocal now
        now += 1

    monkeypatch.setattr("image_pipeline.storage.table.time.sleep", pass_time)
    monkeypatch.setattr("image_pipeline.deadline.time.monotonic", lambda: now)
    with deadline.of({}, LocalContext("function", seconds=12.5)), pytest.raises(DeadlineError):
        store_sample(sample_image())
    # The tries begin 12.5, 11.5 and 10.5 s before the deadline.
    assert len(sent) == 3


def test_endless_conflicts_end_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    contended = FlakyWrites(monkeypatch, [conflict() for _ in range(100)])
    with pytest.raises(StorageError):
        store_sample(sample_image())
    assert len(contended.tokens) == 8


def test_only_conflicts_are_tried_again_and_each_write_is_a_new_request(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = FlakyWrites(monkeypatch, [])
    store_sample(sample_image(IMAGE_ID))
    with pytest.raises(StorageError):
        store_sample(sample_image(IMAGE_ID))
    assert len(writes.tokens) == len(set(writes.tokens)) == 2


def test_the_pauses_between_conflicts_are_random_and_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[Any] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(SystemRandom, "uniform", lambda _, low, high: (low, high))
    FlakyWrites(monkeypatch, [conflict() for _ in range(3)])
    store_sample(sample_image())
    assert pauses == [(0, 0.04), (0, 0.08), (0, 0.16)]


def test_a_failure_is_counted_kept_for_a_week_and_not_an_image() -> None:
    records.fail(Claim(IMAGE_ID, "attempt", None), "failure", "a.jpg", "It failed.")
    with pytest.raises(ImageNotFoundError):
        records.get(SHARED, IMAGE_ID)
    (item,) = table_items("IMAGE#")
    event = {"event", "owner", "original_name", "caption", "error"}
    assert set(item) == {"pk", "sk", "status", "attempt", "expires_at"} | event
    assert 0 <= time.time() + 7 * 86400 - int(item["expires_at"]) < 60
    assert records.statistics(SHARED) == Statistics(success=0, failure=1, total_processing_time=Decimal(0))


def taken() -> Claim:
    """Return the claim of an attempt at a direct upload, whose file is IMAGE_ID."""
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    claim, *_ = claims.take(IMAGE_ID)
    return claim


def lost() -> list[Exception]:
    return [ReadTimeoutError(endpoint_url="test")]


@pytest.mark.parametrize("is_saved", [True, False])
def test_lost_replies_about_a_temporary_failure_and_what_replaces_it(
    monkeypatch: pytest.MonkeyPatch, *, is_saved: bool
) -> None:
    claim = taken()
    writes = FlakyWrites(monkeypatch, lost(), applied=True)
    claim = records.fail_temporarily(claim)
    assert claim.has_failed
    assert records.statistics(SHARED).failure == 1
    writes.errors = lost()
    if is_saved:
        records.save(claim, replace(sample_image(IMAGE_ID), time_taken=Decimal("0.25")))
        assert records.statistics(SHARED) == Statistics(success=1, failure=0, total_processing_time=Decimal("0.25"))
    else:
        records.fail(claim, "failure", "a.jpg", "It is damaged.")
        assert records.statistics(SHARED) == Statistics(success=0, failure=1, total_processing_time=Decimal(0))
        assert records.find(SHARED, IMAGE_ID) == UnfinishedImage(IMAGE_ID, "a.jpg", "It is damaged.")


def test_a_temporary_failure_is_not_taken_for_the_final_one(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = records.fail_temporarily(taken())
    FlakyWrites(monkeypatch, lost())
    with pytest.raises(StorageError):
        records.fail(claim, "failure", "a.jpg", "It is damaged.")
    image = records.find(SHARED, IMAGE_ID)
    assert isinstance(image, UnfinishedImage)
    assert image.is_temporary


def test_an_attempt_that_has_lost_its_claim_stores_no_temporary_failure() -> None:
    claim = taken()
    records.save(claim, sample_image(IMAGE_ID))
    with pytest.raises(StorageError):
        records.fail_temporarily(claim)
    assert records.get(SHARED, IMAGE_ID)
    assert records.statistics(SHARED).failure == 0


def test_an_image_expires_after_the_retention_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_DAYS", "30")
    now = datetime.now(UTC)
    store_sample(replace(sample_image(IMAGE_ID), processed_at=now))
    assert len(records.newest(SHARED, 10).records) == 1
    records.get(SHARED, IMAGE_ID)
    # DynamoDB removes an item some time after it has expired.
    monkeypatch.setattr(time, "time", (now + timedelta(days=30, seconds=1)).timestamp)
    assert records.newest(SHARED, 10).records == []
    for read in (records.get, records.find, records.delete):
        with pytest.raises(ImageNotFoundError):
            read(SHARED, IMAGE_ID)


def test_sums_are_exact_decimals() -> None:
    for _ in range(10):
        store_sample(sample_image(seconds_taken="0.1"))
    assert records.statistics(SHARED).total_processing_time == Decimal(1)


def test_an_item_is_read_consistently(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = record_argument(monkeypatch, "get_item", "ConsistentRead")
    table.find({"pk": "REQUEST#key", "sk": "REQUEST"})
    assert asked == [True]


def test_a_connection_is_opened_by_a_read_that_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = record_argument(monkeypatch, "get_item", "TableName")
    table.connect()
    monkeypatch.setenv("TABLE_NAME", "gone")
    table.connect()
    assert len(asked) == 2


def test_statistics_are_one_consistent_read_of_all_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = record_argument(monkeypatch, "batch_get_item", "RequestItems")
    records.statistics(SHARED)
    keys = [{"pk": {"S": f"STATS#{number}"}, "sk": {"S": "STATS"}} for number in range(8)]
    assert asked == [{settings.table_name(): {"Keys": keys, "ConsistentRead": True}}]


class PartialReads:
    """Replaces `batch_get_item`. The first `times` calls read only the first key and leave the others unprocessed."""

    def __init__(self, times: int) -> None:
        self.read = clients.dynamodb().batch_get_item
        self.times = times
        self.asked: list[Any] = []

    def __call__(self, RequestItems: Any) -> Any:  # noqa: N803 - boto3's name
        self.asked.append(RequestItems)
        if len(self.asked) > self.times:
            return self.read(RequestItems=RequestItems)
        ((name, wanted),) = RequestItems.items()
        first, others = wanted["Keys"][:1], wanted["Keys"][1:]
        found = self.read(RequestItems={name: wanted | {"Keys": first}})
        return found | {"UnprocessedKeys": {name: wanted | {"Keys": others}} if others else {}}


def test_shards_that_are_left_unprocessed_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[Any] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(SystemRandom, "uniform", lambda _, low, high: (low, high))
    for _ in range(20):
        store_sample(sample_image(seconds_taken="0.1"))
    partial = PartialReads(2)
    monkeypatch.setattr(clients.dynamodb(), "batch_get_item", partial)
    assert records.statistics(SHARED) == Statistics(success=20, failure=0, total_processing_time=Decimal(2))
    assert [len(wanted[settings.table_name()]["Keys"]) for wanted in partial.asked] == [8, 7, 6]
    assert all(wanted[settings.table_name()]["ConsistentRead"] for wanted in partial.asked)
    assert pauses == [(0, 0.04), (0, 0.08)]


def test_shards_that_stay_unprocessed_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)

    def unprocessed(RequestItems: Any) -> Any:  # noqa: N803 - boto3's name
        return {"Responses": {}, "UnprocessedKeys": RequestItems}

    monkeypatch.setattr(clients.dynamodb(), "batch_get_item", unprocessed)
    with pytest.raises(StorageError):
        records.statistics(SHARED)


def test_a_page_reads_little_more_than_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "crc32", lambda _: 0)
    for minutes in range(8):
        store_sample(sample_image(minutes=minutes))
    asked = record_argument(monkeypatch, "query", "Limit")
    assert len(records.newest(SHARED, 3).records) == 3
    # Each of the four shards is read once, and one of them again: a fourth image shows that there is another page.
    assert asked == [2, 2, 2, 2, 2]


@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize("spread", [[0], [0, 1], [0, 0, 0, 1, 2, 3]])
def test_a_page_takes_at_most_two_round_trips(monkeypatch: pytest.MonkeyPatch, limit: int, spread: list[int]) -> None:
    shards = cycle(spread)
    monkeypatch.setattr(keys, "crc32", lambda _: next(shards))
    for minutes in range(limit + 5):
        store_sample(sample_image(minutes=minutes))
    query = clients.dynamodb().query
    # The barrier opens only if all four shards are queried at the same time, in one round trip.
    together = Barrier(4, timeout=10)
    asked = count()

    def counted(**arguments: Any) -> Any:
        if next(asked) < 4:
            together.wait()
        return query(**arguments)

    monkeypatch.setattr(clients.dynamodb(), "query", counted)
    page = records.newest(SHARED, limit)
    assert len(page.records) == limit
    assert page.end == keys.listing_position(page.records[-1])
    assert next(asked) <= 5


def test_the_listing_is_spread_over_its_shards() -> None:
    for _ in range(64):
        store_sample(sample_image())
    shards = {item["listing"] for item in table_items("IMAGE#")}
    assert shards == {f"LIST#{number}" for number in keys.LISTING_SHARDS}


def test_statistics_are_spread_over_their_shards() -> None:
    for _ in range(64):
        store_sample(sample_image())
    assert len(table_items("STATS")) > 1

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from image_pipeline import clients, records
from image_pipeline.claims import Claim
from image_pipeline.errors import ImageNotFoundError, StorageError
from tests.image_records import IMAGE_ID, finished

pytestmark = pytest.mark.usefixtures("aws")

Items = Callable[[str], list[dict[str, Any]]]


def conflict() -> ClientError:
    error = ClientError({"Error": {"Code": "TransactionCanceledException"}}, "TransactWriteItems")
    error.response["CancellationReasons"] = [{"Code": "None"}, {"Code": "TransactionConflict"}]
    return error


class FlakyWrites:
    """`transact_write_items` that raises `errors` first, before or after the write is applied."""

    def __init__(self, errors: list[Exception], *, applied: bool = False) -> None:
        self.write = clients.dynamodb().transact_write_items
        self.errors = errors
        self.applied = applied
        self.tokens: list[str] = []

    def __call__(self, **arguments: Any) -> Any:
        self.tokens.append(arguments["ClientRequestToken"])
        if self.applied or not self.errors:
            self.write(**arguments)
        if self.errors:
            raise self.errors.pop(0)


def test_what_is_stored_comes_back() -> None:
    record = finished()
    records.save(record)
    assert records.get(record.image_id) == record


def test_a_record_never_replaces_another(table_items: Items) -> None:
    first = finished(IMAGE_ID)
    records.save(first)
    with pytest.raises(StorageError):
        records.save(finished(IMAGE_ID, minutes=1))
    assert records.get(IMAGE_ID) == first
    assert sum(item["success"] for item in table_items("STATS")) == 1


def test_a_lost_reply_is_recognised_by_the_own_attempt(monkeypatch: pytest.MonkeyPatch, table_items: Items) -> None:
    lost = FlakyWrites([ReadTimeoutError(endpoint_url="test")], applied=True)
    monkeypatch.setattr(clients.dynamodb(), "transact_write_items", lost)
    record = finished()
    records.save(record)
    assert records.get(record.image_id) == record
    assert [item["success"] for item in table_items("STATS")] == [1]


def test_a_success_is_not_taken_for_the_failure_of_the_same_attempt(table_items: Items) -> None:
    record = finished()
    records.save(record)
    with pytest.raises(StorageError):
        records.save_failure(Claim(record.image_id, record.attempt, None), "failure")
    assert records.get(record.image_id) == record
    assert [item.get("failure") for item in table_items("STATS")] == [None]


def test_a_write_that_never_arrived_is_reported(monkeypatch: pytest.MonkeyPatch, table_items: Items) -> None:
    unsent = FlakyWrites([ReadTimeoutError(endpoint_url="test")])
    monkeypatch.setattr(clients.dynamodb(), "transact_write_items", unsent)
    with pytest.raises(StorageError):
        records.save(finished())
    assert table_items("") == []


def test_a_conflict_on_a_shard_is_tried_again_as_the_same_request(
    monkeypatch: pytest.MonkeyPatch, table_items: Items
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    contended = FlakyWrites([conflict(), conflict()])
    monkeypatch.setattr(clients.dynamodb(), "transact_write_items", contended)
    record = finished()
    records.save(record)
    assert len(contended.tokens) == 3
    assert len(set(contended.tokens)) == 1
    assert [item["success"] for item in table_items("STATS")] == [1]


def test_endless_conflicts_end_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    contended = FlakyWrites([conflict() for _ in range(100)])
    monkeypatch.setattr(clients.dynamodb(), "transact_write_items", contended)
    with pytest.raises(StorageError):
        records.save(finished())
    assert len(contended.tokens) == 8


def test_a_failure_is_counted_kept_for_a_week_and_not_an_image(table_items: Items) -> None:
    records.save_failure(Claim(IMAGE_ID, "attempt", None), "failure")
    with pytest.raises(ImageNotFoundError):
        records.get(IMAGE_ID)
    (item,) = table_items("IMAGE#")
    assert set(item) == {"pk", "sk", "status", "attempt", "expires_at"}
    assert 0 <= time.time() + 7 * 86400 - int(item["expires_at"]) < 60
    assert records.statistics().failure == 1
    assert records.statistics().success == 0


def test_sums_are_exact_decimals() -> None:
    for _ in range(10):
        records.save(finished(seconds_taken="0.1"))
    assert records.statistics().total_processing_time == Decimal(1)


def test_the_listing_is_spread_over_its_shards(table_items: Items) -> None:
    for _ in range(64):
        records.save(finished())
    shards = {item["listing"] for item in table_items("IMAGE#")}
    assert shards == {f"LIST#{number}" for number in range(records.LISTING_SHARDS)}


def test_statistics_are_spread_over_their_shards(table_items: Items) -> None:
    for _ in range(64):
        records.save(finished())
    assert len(table_items("STATS")) > 1

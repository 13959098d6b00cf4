"""The command that deletes everything of an owner."""

import itertools
import json
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import EndpointConnectionError

from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.http import owners
from image_pipeline.models import SHARED
from image_pipeline.storage import (
    claims,
    clients,
    file_store,
    keys,
    records,
    search_index,
    table,
    terms,
    thumbnail_store,
)
from tests.deployed_stack import STACK, all_bodies, dying, failing
from tests.stored import bucket_keys, table_items
from tools.local.sample_images import sample_image, store_sample
from tools.stack import assign, deployed, forget, stream_failures

KEY_ID = "aaaaaaaaaa"
OWNER = owners.digest("API_KEY", KEY_ID)
OTHER = "b" * 32
THIS = (STACK, f"--owner={KEY_ID}", "--yes")


@pytest.fixture(autouse=True)
def queues(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(stream_failures, "_WAIT_SECONDS", 0)
    return stack


def finished(owner: str, minutes: int = 0) -> str:
    record = replace(sample_image(minutes=minutes), owner=owner)
    store_sample(record)
    for key in record.thumbnails.values():
        thumbnail_store.put(key, b"x")
    file_store.keep(record.image_id, b"x", "image/jpeg")
    search_index.update(record.image_id)
    return record.image_id


def images_in_all_states(owner: str) -> list[str]:
    """Store images of an owner, and everything that clients and functions store beside them."""
    claims.request(owner, waiting := str(uuid4()), "a.jpg")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(waiting), Body=b"x")
    by_form = claims.claim(owner, "a-key", "0" * 64)
    claims.reserve(by_form, "a.jpg")
    failed = claims.Claim(str(uuid4()), str(uuid4()), None, owner=owner)
    records.fail(failed, "damaged", "a.jpg", "It is damaged.")
    claims.request(owner, temporary := str(uuid4()), "a.jpg")
    records.fail_temporarily(claims.take(temporary)[0])
    expired = finished(owner, minutes=7)
    item = table.find(keys.image(expired)) or {}
    table.write_batch([item | {"expires_at": int(time.time()) - 10}])
    return [finished(owner), waiting, by_form.image_id, failed.image_id, temporary, expired]


def everything() -> tuple[list[dict[str, Any]], list[str], list[str]]:
    return table_items(""), bucket_keys(), bucket_keys(settings.uploads_bucket())


@pytest.mark.parametrize("owner", [OWNER, SHARED])
def test_nothing_of_an_owner_is_left(owner: str, capsys: pytest.CaptureFixture[str]) -> None:
    others = [OTHER, SHARED if owner else OWNER]
    for each in others:
        images_in_all_states(each)
    before = everything()
    image_ids = images_in_all_states(owner)
    records.delete(owner, earlier := finished(owner))
    assert forget.main([STACK, f"--owner={KEY_ID if owner else ''}", "--yes"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"images of {f'the owner digest:{OWNER}' if owner else 'no owner, which all clients share'}"
    assert out[1] == "6 images are deleted, 1 were deleted before"
    assert out[-1] == "7 items say only that an image was deleted, and expire within an hour"
    items, thumbnails, files = everything()
    left = [item for item in items if keys.owner(item) == owner]
    assert {keys.image_id(item["pk"]) for item in left} == {*image_ids, earlier}
    for item in left:
        content = {"original_name": "", "caption": "", "error": "", "owner": owner}
        assert {name: item[name] for name in content} == content
        assert item.keys() - content.keys() == {"pk", "sk", "status", "replaced", "event", "attempt", "expires_at"}
        assert item["expires_at"] <= time.time() + 3600
    rest = [item for item in items if keys.owner(item) != owner]
    assert sorted(rest, key=str) == sorted(before[0], key=str)
    assert (thumbnails, files) == before[1:]
    assert records.statistics(owner).success == 0
    # It can be repeated.
    assert forget.main([STACK, f"--owner={KEY_ID if owner else ''}", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "0 images are deleted, 7 were deleted before"


def test_nothing_is_deleted_without_yes(capsys: pytest.CaptureFixture[str]) -> None:
    images_in_all_states(OWNER)
    records.delete(OWNER, finished(OWNER))
    before = everything()
    assert forget.main(THIS[:-1]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "6 images would be deleted, 1 were deleted before",
        "nothing was changed. YES=1 deletes them for good",
    ]
    assert everything() == before


@pytest.mark.parametrize("has_effect", [False, True])
@pytest.mark.parametrize("at", [4, 12, 25, 40])
def test_a_command_that_dies_can_be_repeated(at: int, has_effect: bool) -> None:  # noqa: FBT001
    """From a call on, which may still take effect, nothing reaches AWS any more."""
    image_ids = images_in_all_states(OWNER)
    with dying(at, has_effect=has_effect):
        assert forget.main(THIS) == 1
    assert forget.main(THIS) == 0
    items, *buckets = everything()
    assert {(keys.image_id(item["pk"]), item["status"]) for item in items} == {(each, "deleted") for each in image_ids}
    assert buckets == [[], []]


@pytest.mark.usefixtures("finding_stack")
@pytest.mark.parametrize("owner", [OWNER, SHARED])
def test_no_file_of_an_owner_stays_known(owner: str) -> None:
    for each in (OWNER, OTHER, SHARED):
        for _ in range(2):
            finished(each)
    # What is left of an image that was deleted while the parameter was keep.
    table.write_batch([{**keys.file_hash(owner, "f" * 64), "image_id": str(uuid4())}])
    assert forget.main([STACK, f"--owner={KEY_ID if owner else ''}", "--yes"]) == 0
    assert {keys.owner(item) for item in table_items("HASH#")} == {OWNER, OTHER, SHARED} - {owner}
    assert len(table_items("HASH#")) == 2


@pytest.mark.usefixtures("finding_stack")
def test_an_expired_image_whose_deletion_fails_once_is_forgotten() -> None:
    image_id = finished(OWNER)
    table.write_batch([(table.find(keys.image(image_id)) or {}) | {"expires_at": int(time.time()) - 10}])
    calls = itertools.count()

    def fail(operation: str, _: dict[str, Any]) -> BaseException | None:
        is_first = operation == "TransactWriteItems" and next(calls) == 0
        return EndpointConnectionError(endpoint_url="https://dynamodb.example") if is_first else None

    with failing(fail):
        assert forget.main(THIS) == 0
    assert table_items("HASH#") == []


def test_an_attempt_that_runs_stores_nothing_any_more() -> None:
    claim = claims.claim(OWNER, "a-key", "0" * 64)
    claims.reserve(claim, "a.jpg")
    assert forget.main(THIS) == 0
    with pytest.raises(StorageError):
        records.save(claim, replace(sample_image(claim.image_id), owner=OWNER))
    assert [item["status"] for item in table_items("")] == ["deleted"]


@pytest.mark.parametrize("duplicates", ["keep", "find"])
def test_an_image_that_moves_to_another_owner_meanwhile_keeps_its_files(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], duplicates: str
) -> None:
    if duplicates == "find":
        request.getfixturevalue("finding_stack")
    image_id = finished(OWNER)

    def move(operation: str, _: dict[str, Any]) -> None:
        if operation == ("PutItem" if duplicates == "keep" else "TransactWriteItems"):
            item = table.find(keys.image(image_id)) or {}
            table.write_batch([item | {"owner": OTHER}])

    with failing(move):
        assert forget.main(THIS) == 1
    assert f"  {image_id}: it has another owner meanwhile" in capsys.readouterr().out
    assert len(bucket_keys()) == 2
    assert records.get(OTHER, image_id)


def test_an_image_that_has_just_moved_stays_in_the_index_of_its_new_owner() -> None:
    """The stream of the table has not moved its entries yet."""
    image_id = finished(OWNER)
    assign.move(image_id, OWNER, OTHER)
    assert forget.main(THIS) == 0
    page = search_index.search(OTHER, terms.wanted("cartoon"), 100, None)
    assert [record.image_id for record in page.records] == [image_id]
    assert [item for item in table_items("") if keys.owner(item) == OWNER and not item["pk"].startswith("STATS#")] == []


def test_what_is_left_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """An image that is uploaded while the command runs, and a file that a late attempt stores."""
    image_id = finished(OWNER)
    late = replace(sample_image(), owner=OWNER)
    calls = itertools.count()

    def upload(operation: str, _: dict[str, Any]) -> None:
        if operation == "ReceiveMessage" and next(calls) == 0:
            store_sample(late)
            file_store.keep(image_id, b"x", "image/jpeg")

    with failing(upload):
        assert forget.main(THIS) == 1
    out = capsys.readouterr().out
    assert f"  {late.image_id}: it is still in the table. Run the same command again" in out
    assert f"  {image_id}: originals/{image_id} is still in a bucket. Run the same command again" in out
    assert forget.main(THIS) == 0


def test_dead_letters_about_the_owner_are_deleted(
    queues: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id, other = finished(OWNER), finished(OTHER)
    queues["EventsDeadLetterQueue"] = clients.sqs().create_queue(QueueName="events")["QueueUrl"]
    parameters = deployed.parameters(STACK) | {"PublishEvents": "true"}
    monkeypatch.setattr(deployed, "parameters", lambda _: parameters)
    monkeypatch.setattr(deployed, "resource", lambda _, name: queues.get(name, name))
    for each in (image_id, other):
        for queue, body in (
            ("UploadsDeadLetterQueue", {"Records": [{"s3": {"object": {"key": keys.uploaded_file(each)}}}]}),
            ("LeftoversDeadLetterQueue", each),
            ("EventsDeadLetterQueue", {"owner": OWNER if each == image_id else OTHER}),
            ("LeftoversQueue", each),
        ):
            clients.sqs().send_message(QueueUrl=queues[queue], MessageBody=json.dumps(body))
    assert forget.main(THIS) == 0
    out = capsys.readouterr().out
    assert "3 queues have no dead letters about these images" in out
    assert "LeftoversQueue: about 2 messages, of any images. The functions take them soon" in out
    for queue in ("UploadsDeadLetterQueue", "LeftoversDeadLetterQueue", "EventsDeadLetterQueue"):
        (body,) = all_bodies(queues[queue])
        assert (other if queue != "EventsDeadLetterQueue" else OTHER) in body

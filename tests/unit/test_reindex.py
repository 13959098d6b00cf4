"""The command that writes the search index again, checks the vocabulary, and finds files of images without an item."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.models import SHARED, ThumbnailSize
from image_pipeline.storage import (
    claims,
    clients,
    hashes,
    keys,
    records,
    search_index,
    table,
    terms,
    thumbnail_store,
    vocabulary,
)
from tests.deployed_stack import STACK, all_bodies, bodies, error, failing, instead
from tests.stored import table_items
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample
from tools.stack import assign, deployed, reindex

pytestmark = pytest.mark.usefixtures("stack")


def test_the_index_is_written_again(capsys: pytest.CaptureFixture[str]) -> None:
    stored = [sample_image(minutes=minutes) for minutes in range(103)]
    for record in stored:
        store_sample(record)
    search_index.update(stored[0].image_id)
    entry = keys.term(SHARED, "cartoon", keys.listing_position(stored[0]))
    table.write_batch([], [entry])
    assert reindex.main([STACK]) == 0
    assert "103 images are in the index" in capsys.readouterr().out
    found = search_index.search(SHARED, terms.wanted("cartoon picture"), 100, None)
    assert [record.image_id for record in found.records] == [record.image_id for record in stored[:2:-1]]


@pytest.mark.parametrize("options", [[], ["--keep-files"]])
def test_an_image_that_cannot_be_indexed_is_named_and_the_others_are_indexed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    stored = [sample_image(minutes=minutes) for minutes in range(3)]
    for record in stored:
        store_sample(record)
    update = search_index.update

    def failing(image_id: str, **arguments: Any) -> bool:
        if image_id == stored[0].image_id:
            raise StorageError from error("ValidationException")
        return update(image_id, **arguments)

    monkeypatch.setattr(search_index, "update", failing)
    assert reindex.main([STACK, *options]) == 1
    shown = capsys.readouterr()
    assert "2 images are in the index" in shown.out
    assert ("images without an item" in shown.out) == (not options)
    assert f"  {stored[0].image_id}: ValidationException" in shown.out
    found = search_index.search(SHARED, terms.wanted("cartoon"), 100, None)
    assert [record.image_id for record in found.records] == [record.image_id for record in stored[:0:-1]]


def test_files_without_an_item_are_given_to_the_function_that_deletes_them(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    store_sample(sample_image(IMAGE_ID))
    claims.request(SHARED, waiting_id := str(uuid4()), "a.jpg")
    gone = [str(uuid4()) for _ in range(13)]
    for image_id in (IMAGE_ID, waiting_id, gone[0]):
        clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(image_id), Body=b"x")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.original(gone[1]), Body=b"x")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key="uploads/not-ours", Body=b"x")
    for image_id in (IMAGE_ID, *gone[1:]):
        for size in ThumbnailSize:
            thumbnail_store.put(keys.thumbnail(image_id, size, "jpg"), b"x")
    assert reindex.main([STACK]) == 0
    assert (
        "13 images without an item went to LeftoversQueue, for the deletion of their files, 2 with files"
        in capsys.readouterr().out
    )
    assert sorted(all_bodies(stack["LeftoversQueue"])) == sorted(gone)
    assert reindex.main([STACK, "--keep-files"]) == 0
    assert capsys.readouterr().out == (
        "1 images are in the index, 0 were deleted meanwhile, 0 had terms that the vocabulary lacked\n"
        "10 terms of the vocabulary have images, 0 had none and were removed\n"
    )
    assert bodies(stack["LeftoversQueue"]) == []


def test_an_item_that_cannot_be_read_is_a_failure_of_its_image(capsys: pytest.CaptureFixture[str]) -> None:
    stored = [sample_image(minutes=minutes) for minutes in range(3)]
    for record in stored:
        store_sample(record)
    spoil(stored[1].image_id)
    assert reindex.main([STACK]) == 1
    out = capsys.readouterr().out
    # The images have the same terms. Whichever is second may find them in the vocabulary.
    assert re.match("2 images are in the index, 0 were deleted meanwhile, [12] had terms .* lacked, 1 failed", out)
    assert f"  {stored[1].image_id}: KeyError: 'metadata'" in out


def test_with_find_the_files_of_images_from_before_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, prompted = sample_image(), replace(sample_image(), caption_prompt="a large")
    expiring = replace(sample_image(), sha256="f" * 64)
    owned, gone = replace(sample_image(), owner="a" * 32), replace(sample_image(), sha256="e" * 64)
    stored = [plain, prompted, expiring, owned, gone]
    for record in stored:
        store_sample(record)
    end = int(time.time()) + 60
    for record, expiry in ((expiring, end), (gone, 1)):
        table.update(
            keys.image(record.image_id),
            "SET expires_at = :end",
            ExpressionAttributeValues=table.serialize({":end": expiry}),
        )
    assert reindex.main([STACK]) == 0
    assert table_items("HASH#") == []
    monkeypatch.setattr(deployed, "parameters", lambda _: {"Duplicates": "find"})
    for _ in range(2):
        assert reindex.main([STACK]) == 0
        assert {(item["pk"], item["image_id"], item.get("expires_at")) for item in table_items("HASH#")} == {
            (f"HASH#{plain.sha256}", plain.image_id, None),
            (f"HASH#{prompted.digest}", prompted.image_id, None),
            (f"HASH#{expiring.sha256}", expiring.image_id, end),
            (f"HASH#{owned.owner}#{owned.sha256}", owned.image_id, None),
        }
        assert search_index.update(plain.image_id)


def test_a_known_file_keeps_its_image_and_a_hash_without_one_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = sample_image(), sample_image()
    for record in (first, second):
        store_sample(record)
    monkeypatch.setattr(deployed, "parameters", lambda _: {"Duplicates": "find"})
    records.remember(first.image_id)
    assert reindex.main([STACK]) == 0
    assert [item["image_id"] for item in table_items("HASH#")] == [first.image_id]
    # Without the setting, the deletion leaves the hash.
    monkeypatch.setenv("DUPLICATES", "keep")
    records.delete(SHARED, first.image_id)
    assert [item["image_id"] for item in table_items("HASH#")] == [first.image_id]
    assert reindex.main([STACK]) == 0
    assert [item["image_id"] for item in table_items("HASH#")] == [second.image_id]


def test_an_image_that_is_deleted_at_the_same_time_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    store_sample(record := sample_image())
    image_of = hashes.image_of

    def deleted_first(owner: str, file: str) -> str | None:
        monkeypatch.setattr(hashes, "image_of", image_of)
        records.delete(SHARED, record.image_id)
        return image_of(owner, file)

    monkeypatch.setattr(hashes, "image_of", deleted_first)
    with pytest.raises(StorageError):
        records.remember(record.image_id)
    records.remember(record.image_id)
    assert table_items("HASH#") == []


def test_an_image_that_moves_at_the_same_time_is_not_remembered_for_its_old_owner() -> None:
    store_sample(record := sample_image())
    write = table.write

    with pytest.MonkeyPatch.context() as patch:

        def moved_first(*arguments: Any) -> None:
            patch.setattr(table, "write", write)
            assign.move(record.image_id, SHARED, "b" * 32)
            write(*arguments)

        patch.setattr(table, "write", moved_first)
        with pytest.raises(StorageError):
            records.remember(record.image_id)
    records.remember(record.image_id)
    assert [item["pk"] for item in table_items("HASH#")] == [f"HASH#{'b' * 32}#{record.sha256}"]


def spoil(image_id: str) -> None:
    """Remove an attribute without which no record can be made."""
    table.update(keys.image(image_id), "REMOVE metadata")


def test_an_image_that_was_deleted_meanwhile_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    store_sample(record := sample_image())
    table.update(
        keys.image(record.image_id), "SET expires_at = :past", ExpressionAttributeValues=table.serialize({":past": 1})
    )
    assert reindex.main([STACK]) == 0
    assert "0 images are in the index, 1 were deleted meanwhile" in capsys.readouterr().out


def test_a_refused_message_is_named_and_the_others_are_sent(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = sorted(str(uuid4()) for _ in range(12))
    for image_id in gone:
        thumbnail_store.put(keys.thumbnail(image_id, ThumbnailSize.SMALL, "jpg"), b"x")

    def refuse(call: Any, operation: str, arguments: dict[str, Any]) -> Any:
        if operation != "SendMessageBatch":
            return call(operation, arguments)
        bad = [entry for entry in arguments["Entries"] if entry["MessageBody"] == gone[5]]
        good = [entry for entry in arguments["Entries"] if entry not in bad]
        response = call(operation, arguments | {"Entries": good}) if good else {}
        failed = [{"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in bad]
        return response | {"Failed": failed}

    with instead(refuse):
        assert reindex.main([STACK]) == 1
    assert f"  {gone[5]}: SQS refused its message: InternalError" in capsys.readouterr().out
    assert sorted(all_bodies(stack["LeftoversQueue"])) == [*gone[:5], *gone[6:]]


def test_an_image_whose_item_cannot_be_looked_up_keeps_its_files(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = sorted(str(uuid4()) for _ in range(3))
    for image_id in gone:
        thumbnail_store.put(keys.thumbnail(image_id, ThumbnailSize.SMALL, "jpg"), b"x")
    lost = error("InternalServerError", status=500)
    with failing(
        lambda operation, arguments: (
            lost if operation == "GetItem" and arguments["Key"]["pk"]["S"].endswith(gone[1]) else None
        )
    ):
        assert reindex.main([STACK]) == 1
    assert f"  {gone[1]}: InternalServerError" in capsys.readouterr().out
    assert sorted(all_bodies(stack["LeftoversQueue"])) == [gone[0], gone[2]]


def test_terms_without_an_image_go_and_missing_ones_come(capsys: pytest.CaptureFixture[str]) -> None:
    store_sample(record := sample_image())
    search_index.update(record.image_id)
    expected = known()
    table.write_batch(
        [keys.word(SHARED, "unicorn"), keys.word(SHARED, "img1"), keys.word(SHARED, "東京")],
        [keys.word(SHARED, "cartoon")],
    )
    assert reindex.main([STACK]) == 0
    assert known() == expected
    shown = capsys.readouterr().out
    assert "1 images are in the index, 0 were deleted meanwhile, 1 had terms that the vocabulary lacked" in shown
    assert f"{len(expected)} terms of the vocabulary have images, 3 had none and were removed" in shown


def test_the_terms_of_each_owner_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    owner = "a" * 32
    store_sample(record := replace(sample_image(), owner=owner))
    search_index.update(record.image_id)
    expected = {(item["pk"], item["sk"]) for item in table_items("WORDS#")}
    # The image of the owner does not keep a term that all clients share.
    table.write_batch([keys.word(SHARED, "cartoon"), keys.word("b" * 32, "cartoon")], [keys.word(owner, "cartoon")])
    assert reindex.main([STACK]) == 0
    assert {(item["pk"], item["sk"]) for item in table_items("WORDS#")} == expected
    assert "2 had none and were removed" in capsys.readouterr().out


def test_a_term_that_gets_its_first_image_meanwhile_stays(capsys: pytest.CaptureFixture[str]) -> None:
    table.write_batch([keys.word(SHARED, "cartoon")])
    waiting = [sample_image()]

    def answer(call: Any, operation: str, arguments: dict[str, Any]) -> Any:
        requests = arguments["RequestItems"][settings.table_name()] if operation == "BatchWriteItem" else []
        if waiting and any("DeleteRequest" in request for request in requests):
            store_sample(record := waiting.pop())
            search_index.update(record.image_id)
        return call(operation, arguments)

    with instead(answer):
        assert reindex.main([STACK]) == 0
    assert not waiting
    assert "cartoon" in known()
    assert "0 had none and were removed" in capsys.readouterr().out


def test_a_term_that_cannot_be_checked_is_named_and_the_others_are_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_batch([keys.word(SHARED, term) for term in ("griffin", "unicorn", "yeti")])
    remove = vocabulary.remove

    def failing(owner: str, found: Sequence[str]) -> set[str]:
        if found == ["unicorn"]:
            raise StorageError from error("ValidationException")
        return remove(owner, found)

    monkeypatch.setattr(vocabulary, "remove", failing)
    assert reindex.main([STACK]) == 1
    assert known() == {"unicorn"}
    shown = capsys.readouterr().out
    assert "0 terms of the vocabulary have images, 2 had none and were removed, 1 failed" in shown
    assert "  unicorn: ValidationException" in shown


def known() -> set[str]:
    return {item["sk"] for item in table_items(keys.WORDS)}

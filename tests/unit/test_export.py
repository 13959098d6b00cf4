"""The command that writes everything of an owner to a folder."""

import csv
import itertools
import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import EndpointConnectionError

from clients import cells
from image_pipeline import settings
from image_pipeline.http import owners
from image_pipeline.models import SHARED
from image_pipeline.storage import claims, clients, file_store, keys, records, thumbnail_store
from image_pipeline.storage.claims import Claim
from tests.deployed_stack import STACK, Call, failing, instead
from tools.local.sample_images import sample_image, store_sample
from tools.stack import export

pytestmark = pytest.mark.usefixtures("stack")

KEY_ID = "aaaaaaaaaa"
OWNER = owners.digest("API_KEY", KEY_ID)


def finished(owner: str = OWNER, minutes: int = 0, name: str = "hehhhh.jpg") -> str:
    """Store an image with its files. Each file says what it is."""
    record = replace(sample_image(minutes=minutes), owner=owner, original_name=name)
    store_sample(record)
    for size, key in record.thumbnails.items():
        thumbnail_store.put(key, f"{record.image_id} {size}".encode())
    return record.image_id


def run(folder: Path, *arguments: str) -> int:
    return export.main([STACK, str(folder), f"--owner={KEY_ID}", *arguments])


def lines(folder: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "images.jsonl").read_text(encoding="utf-8").splitlines()]
    return {each["image_id"]: each for each in found}


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "images.csv").open(encoding=cells.ENCODING, newline="") as file:
        return {row["image_id"]: row for row in csv.DictReader(file)}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.parent != folder}


def test_everything_of_an_owner_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "for" / "somebody"
    image_id = finished(name="=cmd.jpg")
    file_store.keep(image_id, b"the original", "image/jpeg")
    claims.request(OWNER, waiting := str(uuid4()), "b.jpg")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(waiting), Body=b"not processed")
    failure = Claim(str(uuid4()), str(uuid4()), None, owner=OWNER)
    records.fail(failure, "damaged", "c.jpg", "It is damaged.")
    records.delete(OWNER, finished())
    for others in ("b" * 32, SHARED):
        finished(others)
    assert run(folder) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"images of the owner digest:{OWNER}",
        "3 images are exported, 0 were deleted meanwhile",
        "left out: 1 deleted or expired images",
    ]
    assert files(folder) == {
        f"{image_id}/small.jpg": f"{image_id} small".encode(),
        f"{image_id}/medium.jpg": f"{image_id} medium".encode(),
        f"{image_id}/original.jpeg": b"the original",
        f"{waiting}/upload": b"not processed",
    }
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"images.jsonl", "images.csv", "owner"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert lines(folder).keys() == rows(folder).keys() == {image_id, waiting, failure.image_id}
    record = lines(folder)[image_id]
    assert record["caption"] == rows(folder)[image_id]["caption"] == sample_image().caption
    assert (record["time_taken"], record["metadata"]["width"]) == (0.25, 261)
    assert record.keys().isdisjoint({"pk", "sk", "listing", "attempt", "event"})
    assert (record["original_name"], rows(folder)[image_id]["original_name"]) == ("=cmd.jpg", "'=cmd.jpg")
    assert rows(folder)[image_id]["metadata.width"] == "261"
    assert lines(folder)[failure.image_id]["error"] == rows(folder)[failure.image_id]["error"] == "It is damaged."


def test_without_an_owner_the_shared_images_are_written(tmp_path: Path) -> None:
    finished()
    image_id = finished(SHARED)
    assert export.main([STACK, str(tmp_path)]) == 0
    assert lines(tmp_path).keys() == {image_id}


@pytest.mark.parametrize("at", [2, 4, 7])
def test_a_command_that_dies_goes_on(tmp_path: Path, at: int) -> None:
    """From a call on, nothing reaches AWS any more, and a file is cut."""
    for minutes in range(3):
        finished(minutes=minutes)
    calls = itertools.count(1)

    def answer(call: Call, operation: str, arguments: dict[str, Any]) -> Any:
        if next(calls) >= at:
            raise EndpointConnectionError(endpoint_url="https://s3.example")
        return call(operation, arguments)

    with instead(answer):
        assert run(tmp_path) == 1
    before = files(tmp_path)
    (tmp_path / "images.jsonl.part").write_text("cut")
    with failing(lambda *_: None) as operations:
        assert run(tmp_path) == 0
    # The kept originals, which these images lack, are asked for again.
    assert operations.count("GetObject") == 6 - len(before) + 3
    assert len(files(tmp_path)) == 6
    assert all(
        content == name.replace("/", " ").removesuffix(".jpg").encode() for name, content in files(tmp_path).items()
    )
    assert len(lines(tmp_path)) == len(rows(tmp_path)) == 3


def test_a_cut_file_is_fetched_again(tmp_path: Path) -> None:
    image_id = finished()
    (tmp_path / image_id).mkdir()
    (tmp_path / image_id / "small.jpg.part").write_bytes(b"cut")
    assert run(tmp_path) == 0
    assert files(tmp_path).keys() == {f"{image_id}/small.jpg", f"{image_id}/medium.jpg"}


def test_a_missing_thumbnail_is_told_and_the_record_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image_id, other = finished(), finished()
    thumbnail_store.delete_all(image_id)
    assert run(tmp_path) == 1
    out = capsys.readouterr().out
    assert "1 images are exported, 0 were deleted meanwhile, 1 failed" in out
    assert f"  {image_id}: the bucket lacks its small.jpg and medium.jpg" in out
    assert lines(tmp_path).keys() == {image_id, other}


def test_an_image_that_is_deleted_meanwhile_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_id = finished()
    calls = itertools.count()

    def delete(operation: str, _: dict[str, Any]) -> None:
        if operation == "GetObject" and next(calls) == 0:
            records.delete(OWNER, image_id)
            thumbnail_store.delete_all(image_id)

    with failing(delete):
        assert run(tmp_path) == 0
    assert "0 images are exported, 1 were deleted meanwhile" in capsys.readouterr().out


def test_an_image_that_is_finished_meanwhile_is_whole(tmp_path: Path) -> None:
    claims.request(OWNER, image_id := str(uuid4()), "b.jpg")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(image_id), Body=b"not processed")
    calls = itertools.count()

    def finish(operation: str, _: dict[str, Any]) -> None:
        if operation == "GetObject" and next(calls) == 0:
            claim, *_others = claims.take(image_id)
            record = replace(sample_image(image_id), owner=OWNER)
            for size, key in record.thumbnails.items():
                thumbnail_store.put(key, f"{image_id} {size}".encode())
            records.save(claim, record)
            file_store.delete(image_id)

    with failing(finish):
        assert run(tmp_path) == 0
    assert lines(tmp_path)[image_id]["status"] == rows(tmp_path)[image_id]["status"] == "success"
    assert files(tmp_path).keys() == {f"{image_id}/small.jpg", f"{image_id}/medium.jpg"}


def test_a_folder_of_another_owner_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished()
    assert run(tmp_path) == 0
    before = sorted(tmp_path.rglob("*"))
    assert export.main([STACK, str(tmp_path)]) == 1
    assert "has images of another owner. Name another folder" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file") == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'file'} cannot be written: File exists. Check TO\n"

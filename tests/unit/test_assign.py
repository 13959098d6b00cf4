"""The command that gives the images of one owner to another, and how an owner is named."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from image_pipeline.errors import ImageNotFoundError, RequestRunningError
from image_pipeline.http import owners
from image_pipeline.models import SHARED, Statistics
from image_pipeline.storage import claims, keys, records, search_index, table, terms
from image_pipeline.storage.claims import Claim
from tests.deployed_stack import STACK, dying, failing
from tests.stored import table_items
from tools.local.sample_images import sample_image, store_sample
from tools.stack import assign, deployed, whose
from tools.stack.refusals import RefusedAccessError

pytestmark = pytest.mark.usefixtures("stack")

KEY_IDS = ("aaaaaaaaaa", "bbbbbbbbbb")
OLD, NEW = (owners.digest("API_KEY", key_id) for key_id in KEY_IDS)
TO_NEW = (STACK, f"--from={KEY_IDS[0]}", f"--to={KEY_IDS[1]}", "--yes")


def finished(owner: str = OLD, minutes: int = 0, sha256: str = "0" * 64) -> str:
    record = replace(sample_image(minutes=minutes), owner=owner, sha256=sha256)
    store_sample(record)
    search_index.update(record.image_id)
    return record.image_id


def failed(owner: str = OLD) -> str:
    claim = Claim(str(uuid4()), str(uuid4()), None, owner=owner)
    records.fail(claim, "damaged", "a.jpg", "It is damaged.")
    return claim.image_id


def failed_temporarily(owner: str = OLD) -> Claim:
    claims.request(owner, image_id := str(uuid4()), "a.jpg")
    return records.fail_temporarily(claims.take(image_id)[0])


def listed(owner: str) -> list[str]:
    return [record.image_id for record in records.newest(owner, 100).records]


def found(owner: str) -> list[str]:
    return [record.image_id for record in search_index.search(owner, terms.wanted("cartoon"), 100, None).records]


def follow_the_stream() -> None:
    for item in table_items("IMAGE#"):
        if item["sk"] == "IMAGE":
            search_index.update(keys.image_id(item["pk"]))


def hashes() -> dict[str, tuple[str, int | None]]:
    """Return the image ids and expiries of the stored hashes, by partition key."""
    return {item["pk"]: (item["image_id"], item.get("expires_at")) for item in table_items("HASH#")}


def all_counts() -> tuple[Statistics, Statistics]:
    return records.statistics(OLD), records.statistics(NEW)


def test_all_images_of_an_owner_move(capsys: pytest.CaptureFixture[str]) -> None:
    stored = [finished(minutes=minutes) for minutes in (2, 1, 0)]
    failure = failed()
    claims.request(OLD, waiting := str(uuid4()), "a.jpg")
    others, shared = finished(NEW, minutes=5), finished(SHARED)
    before, _ = all_counts()
    assert assign.main(TO_NEW) == 0
    assert capsys.readouterr().out == f"from the owner digest:{OLD} to the owner digest:{NEW}\n5 images are moved\n"
    assert (listed(OLD), listed(NEW), listed(SHARED)) == ([], [others, *stored], [shared])
    follow_the_stream()
    assert (found(OLD), found(NEW), found(SHARED)) == ([], [others, *stored], [shared])
    for image_id in (*stored, failure, waiting):
        assert records.find(NEW, image_id)
        with pytest.raises(ImageNotFoundError):
            records.find(OLD, image_id)
    moved, now = all_counts()
    assert moved == Statistics(0, 0, Decimal(0))
    assert (now.success, now.failure) == (before.success + 1, before.failure)
    assert claims.take(waiting)[0].owner == NEW
    # The items publish no event again.
    assert "event" not in (table.find(keys.image(failure)) or {})


def test_nothing_moves_without_yes(capsys: pytest.CaptureFixture[str]) -> None:
    image_id = finished()
    records.delete(OLD, finished())
    failed_temporarily()
    before = table_items("")
    assert assign.main(TO_NEW[:-1]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "1 images would be moved, 1 are being processed now",
        "left out: 1 deleted or expired images",
        "nothing was changed. YES=1 moves them",
    ]
    assert table_items("") == before
    assert listed(OLD) == [image_id]


def test_images_move_from_all_clients_and_back() -> None:
    image_id = finished(SHARED)
    # An item of an older version names no owner.
    item = table.find(keys.image(image_id)) or {}
    table.write_batch([{name: value for name, value in item.items() if name != "owner"}])
    assert assign.main([STACK, "--from=shared", f"--to={KEY_IDS[0]}", "--yes"]) == 0
    assert (listed(SHARED), listed(OLD)) == ([], [image_id])
    assert assign.main([STACK, f"--from=digest:{OLD}", "--to=shared", "--yes"]) == 0
    assert (listed(SHARED), listed(OLD)) == ([image_id], [])
    assert records.statistics(SHARED).success == 1


def test_an_image_that_is_being_processed_is_named_and_moves_later(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = failed_temporarily()
    by_form = claims.Claim(str(uuid4()), str(uuid4()), None, owner=OLD)
    claims.reserve(by_form, "a.jpg")
    image_id = finished()
    assert assign.main(TO_NEW) == 1
    out = capsys.readouterr().out
    assert "1 images are moved, 2 failed" in out
    for each in (running, by_form):
        assert f"  {each.image_id}: not tried, because it is being processed now." in out
    assert listed(NEW) == [image_id]
    records.save(by_form, replace(sample_image(by_form.image_id), owner=OLD))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1000)
    assert assign.main(TO_NEW) == 0
    assert records.statistics(OLD) == Statistics(0, 0, Decimal(0))
    assert (records.statistics(NEW).success, records.statistics(NEW).failure) == (2, 1)
    # The attempt that lost its image stores nothing, and the next one works for the new owner.
    claims.release(running)
    claim, *_ = claims.take(running.image_id)
    assert (claim.owner, claim.has_failed) == (NEW, True)
    with pytest.raises(RequestRunningError):
        claims.take(running.image_id)
    records.save(claim, replace(sample_image(claim.image_id), owner=NEW))
    assert (records.statistics(NEW).success, records.statistics(NEW).failure) == (3, 0)


def test_an_image_that_changes_meanwhile_is_read_again() -> None:
    image_id = finished()
    writes = itertools.count()

    def change(operation: str, _: dict[str, Any]) -> None:
        if operation == "TransactWriteItems" and next(writes) == 0:
            records.delete(OLD, image_id)

    with failing(change):
        assert assign.main(TO_NEW) == 0
    assert (listed(OLD), listed(NEW)) == ([], [])
    assert (records.statistics(OLD).success, records.statistics(NEW).success) == (1, 0)


@pytest.mark.parametrize("has_effect", [False, True])
@pytest.mark.parametrize("at", range(2, 15, 3))
def test_a_command_that_dies_can_be_repeated_and_counts_nothing_twice(at: int, has_effect: bool) -> None:  # noqa: FBT001
    """From a call on, which may still take effect, nothing reaches AWS any more."""
    stored = [finished(minutes=minutes) for minutes in (3, 2, 1, 0)]
    failed()
    before, _ = all_counts()
    with dying(at, has_effect=has_effect):
        assert assign.main(TO_NEW) == 1
    half = all_counts()
    assert sum(each.success for each in half) == before.success
    assert [len(listed(owner)) for owner in (OLD, NEW)] == [each.success for each in half]
    assert assign.main(TO_NEW) == 0
    assert listed(NEW) == stored
    gone, now = all_counts()
    assert gone == Statistics(0, 0, Decimal(0))
    assert now == before


@pytest.mark.usefixtures("finding_stack")
def test_the_files_of_images_move_with_them() -> None:
    plain, prompted = sample_image(), replace(sample_image(), caption_prompt="a large")
    for record in (plain, prompted):
        store_sample(replace(record, owner=OLD))
    # The file of the second image is known as the first one, and the new owner has another file already.
    finished(minutes=1)
    known = replace(sample_image(), owner=NEW, sha256="f" * 64)
    for record in (known, replace(known, image_id=str(uuid4()), owner=OLD)):
        store_sample(record)
    expiry = int(time.time()) + 60
    item = table.find(keys.image(prompted.image_id)) or {}
    table.write_batch([item | {"expires_at": expiry}])
    assert assign.main(TO_NEW) == 0
    assert hashes() == {
        keys.file_hash(NEW, known.digest)["pk"]: (known.image_id, None),
        keys.file_hash(NEW, prompted.digest)["pk"]: (prompted.image_id, expiry),
        keys.file_hash(NEW, plain.digest)["pk"]: (records.find_known(NEW, [plain.digest])[plain.digest], None),
    }


@pytest.mark.usefixtures("finding_stack")
@pytest.mark.parametrize("has_effect", [False, True])
@pytest.mark.parametrize("at", range(2, 15, 3))
def test_a_command_that_dies_loses_no_file(at: int, has_effect: bool) -> None:  # noqa: FBT001
    """From a call on, which may still take effect, nothing reaches AWS any more."""
    stored = {f"{number:064}": finished(sha256=f"{number:064}") for number in range(4)}
    with dying(at, has_effect=has_effect):
        assert assign.main(TO_NEW) == 1
    assert records.find_known(OLD, [*stored]) | records.find_known(NEW, [*stored]) == stored
    assert len(hashes()) == len(stored)
    assert assign.main(TO_NEW) == 0
    assert records.find_known(NEW, [*stored]) == stored
    assert len(hashes()) == len(stored)


@pytest.mark.usefixtures("finding_stack")
def test_a_file_that_the_new_owner_uploads_meanwhile_stays_known() -> None:
    image_id = finished()
    uploaded = list[str]()

    def upload(operation: str, _: dict[str, Any]) -> None:
        if operation == "TransactWriteItems" and not uploaded:
            uploaded.append("")
            uploaded[0] = finished(NEW)

    with failing(upload):
        assert assign.main(TO_NEW) == 0
    assert sorted(listed(NEW)) == sorted([image_id, *uploaded])
    assert hashes() == {keys.file_hash(NEW, "0" * 64)["pk"]: (uploaded[0], None)}


def test_commands_at_the_same_time_count_nothing_twice() -> None:
    stored = [finished(minutes=minutes) for minutes in (3, 2, 1, 0)]
    before, _ = all_counts()
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda image_id: deployed.patiently(assign.move, image_id, OLD, NEW), stored * 4))
    assert set(ended) == {"are moved"}
    assert all_counts()[1] == before


@pytest.mark.parametrize(
    ("auth", "named", "caller"),
    [
        ("API_KEY", "abcdefghij", "abcdefghij"),
        ("AWS_IAM", "AIDAEXAMPLE", "AIDAEXAMPLE"),
        ("AWS_IAM", "AROAEXAMPLE", "AROAEXAMPLE"),
        ("AWS_IAM", "AROAEXAMPLE:a-session", "AROAEXAMPLE"),
        ("JWT", "auth0|1", owners.of_token("https://issuer.example", "oid", "auth0|1")),
    ],
)
def test_an_owner_is_named_as_its_credentials_are(
    monkeypatch: pytest.MonkeyPatch, auth: str, named: str, caller: str
) -> None:
    parameters = {"ApiAuth": auth, "JwtIssuer": "https://issuer.example", "OwnerClaim": "oid"}
    monkeypatch.setattr(deployed, "parameters", lambda _: parameters)
    assert whose.digest(STACK, named) == (caller if auth == "JWT" else owners.digest(auth, caller))
    assert whose.digest(STACK, f"digest:{OLD}") == OLD
    assert whose.digest(STACK, "") == whose.digest(STACK, "shared") == SHARED
    parameters["Owners"] = "caller"
    assert whose.digest(STACK, "shared") == SHARED
    with pytest.raises(RefusedAccessError, match="name an owner, or shared"):
        whose.digest(STACK, "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--from=digest:abc", "--to=shared"], "digest:abc is no owner"),
        (["--from=digest:" + "A" * 32, "--to=shared"], "is no owner"),
        (
            ["--from=" + "k" * 20, "--to=shared"],
            "the owner is the id of an API key",
        ),
        (["--from=My key", "--to=shared"], "the owner is the id of an API key"),
        (["--from=shared", "--to=shared"], "FROM and TO are the same owner"),
        ([f"--from={KEY_IDS[0]}", f"--to=digest:{OLD}"], "FROM and TO are the same owner"),
    ],
)
def test_what_is_no_owner_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], line: str) -> None:
    assert assign.main([STACK, *arguments, "--yes"]) == 1
    shown = capsys.readouterr().err
    assert line in shown
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--from="], ["--from=shared"], ["--from=shared", "--to="]])
def test_both_owners_are_named(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        assign.main([STACK, *arguments, "--yes"])


@pytest.mark.parametrize("named", ["AKIAEXAMPLE", "arn:aws:iam::123456789012:user/me", "me", "me@example.com"])
def test_only_unique_ids_name_users_and_roles(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setattr(deployed, "parameters", lambda _: {"ApiAuth": "AWS_IAM"})
    with pytest.raises(RefusedAccessError, match="not the unique id of a user or a role"):
        whose.digest(STACK, named)


def test_without_credentials_only_a_digest_names_an_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployed, "parameters", lambda _: {"ApiAuth": "NONE"})
    assert whose.digest(STACK, f"digest:{OLD}") == OLD
    with pytest.raises(RefusedAccessError, match="only be named as digest:"):
        whose.digest(STACK, "me")

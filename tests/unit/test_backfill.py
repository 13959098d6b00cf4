"""The command that sends the images of a bucket through the queue."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ReadTimeoutError
from moto.server import ThreadedMotoServer

from image_pipeline import settings
from image_pipeline.http import owners
from image_pipeline.models import SHARED
from image_pipeline.storage import claims, clients, keys, records, table
from tests.deployed_stack import STACK, Call, error, failing, instead
from tests.events import load_event
from tests.permissions import call
from tests.pictures import scene_png
from tests.stored import bucket_keys, table_items
from tools.local.sample_images import IMAGE_ID
from tools.stack import backfill, deployed

pytestmark = pytest.mark.usefixtures("stack")

BUCKET = "archive"
TIMEOUT = ReadTimeoutError(endpoint_url="https://archive.s3.amazonaws.com")
Break = Callable[[str, dict[str, Any]], BaseException | None]


@pytest.fixture(autouse=True)
def archive(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # noqa: ARG001 - first
    """An empty bucket. The CSV file is written to an empty folder."""
    monkeypatch.chdir(tmp_path)
    clients.s3().create_bucket(Bucket=BUCKET)


def put(*names: str, content: bytes | None = None, **arguments: Any) -> None:
    for name in names:
        clients.s3().put_object(Bucket=BUCKET, Key=name, Body=scene_png() if content is None else content, **arguments)


def run(*arguments: str) -> int:
    return backfill.main([STACK, BUCKET, *arguments])


def waiting() -> set[str]:
    return {*bucket_keys(settings.uploads_bucket())}


def rows(path: str = "backfill.csv") -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def breaks(operation: str, problem: BaseException, key: str = "trips/b.jpg") -> Break:
    """Let the calls of an operation fail that name this key of the bucket."""

    def broken(called: str, arguments: dict[str, Any]) -> BaseException | None:
        named = arguments.get("CopySource", arguments).get("Key")
        return problem if (called, named) == (operation, key) else None

    return broken


def test_a_dry_run_counts_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    put("trips/a.PNG", "trips/b c.jpg", "other/d.png")
    put("trips/c.jpg", StorageClass="DEEP_ARCHIVE")
    put("trips/notes.txt", content=b"x")
    with failing(lambda *_: None) as operations:
        assert run("trips/", "--dry-run") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "2 images would be sent, 1 are archived and must be restored first"
    assert out[1] == "left out: 1 objects that are neither JPG nor PNG"
    assert "US dollars" in out[2]
    assert waiting() == set()
    assert set(operations) == {"DescribeStacks", "ListObjectsV2", "GetObject"}
    assert not Path("backfill.csv").exists()


def test_a_backfill_queues_each_image_once(capsys: pytest.CaptureFixture[str]) -> None:
    put("trips/a.PNG", "trips/b c.jpg", "other/d.png")
    assert run("trips/") == 0
    assert "2 images are queued, 0 were queued before" in capsys.readouterr().out
    assert len(waiting()) == 2
    # An interrupted command may have created the item, but not the file. So a requested image is copied again.
    for key in waiting():
        clients.s3().delete_object(Bucket=settings.uploads_bucket(), Key=key)
    assert run() == 0
    assert len(waiting()) == 3
    capsys.readouterr()
    for key in waiting():
        image_id = keys.image_of_file(key)
        assert image_id
        records.delete(SHARED, image_id)
        clients.s3().delete_object(Bucket=settings.uploads_bucket(), Key=key)
    assert run() == 0
    assert "0 images are queued, 3 were queued before" in capsys.readouterr().out
    assert waiting() == set()


def image_of(name: str) -> str:
    found = clients.s3().head_object(Bucket=BUCKET, Key=name)
    return backfill.image_id(BUCKET, name, found["ETag"])


def test_an_image_that_waits_again_has_its_whole_lifetime_again() -> None:
    put("a.jpg")
    assert run() == 0
    item = table.find(keys.image(image_of("a.jpg")))
    assert item
    # As if it had been requested almost 30 days ago, or longer ago than DynamoDB has noticed.
    for left in (60, -3600):
        table.write_batch([item | {"expires_at": int(time.time()) + left}])
        assert run() == 0
        renewed = table.find(keys.image(image_of("a.jpg")))
        assert renewed
        assert renewed["expires_at"] >= item["expires_at"]
        assert (renewed["status"], renewed["original_name"]) == ("requested", "a.jpg")


def test_two_backfills_at_once_lose_no_image() -> None:
    put("a.jpg")
    image_id = image_of("a.jpg")

    def other_first(operation: str, _: dict[str, Any]) -> BaseException | None:
        if operation != "CopyObject":
            return None
        # As the other command does, before the copy of this one fails.
        assert claims.renew(image_id, "other")["status"] == "requested"
        clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(image_id), Body=b"x")
        return error("AccessDenied", status=403)

    with failing(other_first):
        assert run() == 1
    # The item is still there for the file that the other command has copied.
    assert len(waiting()) == 1
    assert table.find(keys.image(image_id))


def test_an_image_that_has_failed_before_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    put("a.jpg", "b.jpg", "c.jpg")
    assert run() == 0
    for name in ("a.jpg", "b.jpg"):
        claim, _, _ = claims.take(image_of(name))
        if name == "a.jpg":
            records.fail_temporarily(claim)
        else:
            records.fail(claim, "failure", name, "The image is damaged.")
    capsys.readouterr()
    assert run() == 1
    out = capsys.readouterr().out
    assert "1 images are queued, 0 were queued before, 2 failed" in out
    assert "b.jpg: it was processed before, and failed: The image is damaged." in out
    assert "Run make redrive" in next(line for line in out.splitlines() if "a.jpg" in line)


def test_denied_objects_do_not_hide_those_after_them_when_the_command_is_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    put("a.jpg", *(f"d{number:02}.jpg" for number in range(60)))

    def denied(operation: str, arguments: dict[str, Any]) -> BaseException | None:
        name = arguments.get("CopySource", {}).get("Key", "")
        return error("AccessDenied", status=403) if operation == "CopyObject" and name.startswith("d") else None

    with failing(denied):
        assert run() == 1
        claims.take(image_of("a.jpg"))
        put("z.jpg")
        capsys.readouterr()
        assert run() == 1
    assert "1 images are queued, 1 were queued before, 60 failed" in capsys.readouterr().out


PROBLEMS = {
    "deleted meanwhile": error("NoSuchKey", status=404),
    "denied by KMS": error("AccessDenied", status=403),
    "too large for S3": error("InvalidRequest"),
    "throttled": error("SlowDown", status=503),
    "no response": TIMEOUT,
    "unforeseen": ZeroDivisionError("nobody foresaw this"),
}


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())
def test_one_object_that_cannot_be_copied_does_not_stop_the_others(
    problem: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    put("trips/a.jpg", "trips/b.jpg", "trips/c.jpg")
    with failing(breaks("CopyObject", problem)):
        assert run() == 1
    out = capsys.readouterr().out
    assert "2 images are queued, 0 were queued before, 1 failed" in out
    assert "  trips/b.jpg: " in out
    assert len(waiting()) == 2
    (row,) = rows()
    assert (row["key"], row["status"]) == ("trips/b.jpg", "failed")
    assert row["reason"]
    # The cause is gone.
    assert run() == 0
    assert len(waiting()) == 3
    assert rows() == []


@pytest.mark.parametrize(
    ("problem", "is_certain"),
    [
        (error("NoSuchKey", status=404), True),
        (error("AccessDenied", status=403), True),
        # The first try may have copied the object.
        (error("NoSuchKey", status=404, retries=1), False),
        (error("InternalError", status=500), False),
        (TIMEOUT, False),
        (ZeroDivisionError(), False),
    ],
)
def test_the_item_is_only_taken_back_if_the_copy_certainly_failed(problem: BaseException, *, is_certain: bool) -> None:
    put("trips/b.jpg")
    with failing(breaks("CopyObject", problem)):
        assert run() == 1
    assert [item["status"] for item in table_items("IMAGE#")] == ([] if is_certain else ["requested"])


def test_an_item_of_another_attempt_is_not_taken_back() -> None:
    put("trips/b.jpg")
    (found,) = deployed.objects(BUCKET)
    image_id = backfill.image_id(BUCKET, "trips/b.jpg", found["ETag"])
    claims.request(SHARED, image_id, "b.jpg")
    with failing(breaks("CopyObject", error("NoSuchKey", status=404))):
        assert run() == 1
    assert table.find(keys.image(image_id)) is not None


@pytest.mark.parametrize("status", ["processing", "success"])
def test_an_item_that_a_worker_has_taken_is_not_taken_back(status: str) -> None:
    image_id, attempt = str(uuid4()), str(uuid4())
    claims.request(SHARED, image_id, "b.jpg", attempt=attempt)
    table.write_batch([{**keys.image(image_id), "status": status, "attempt": attempt}])
    claims.withdraw(image_id, attempt)
    assert table.find(keys.image(image_id)) is not None
    claims.withdraw(str(uuid4()), attempt)


def test_only_the_listed_version_of_an_object_is_copied(capsys: pytest.CaptureFixture[str]) -> None:
    put("trips/a.jpg", "trips/b.jpg")

    def overwrite(call: Call, operation: str, arguments: dict[str, Any]) -> Any:
        if operation == "CopyObject" and arguments["CopySource"]["Key"] == "trips/b.jpg":
            call("PutObject", {"Bucket": BUCKET, "Key": "trips/b.jpg", "Body": scene_png() + b"x"})
            # moto does not know this condition.
            etag = call("HeadObject", {"Bucket": BUCKET, "Key": "trips/b.jpg"})["ETag"]
            if arguments["CopySourceIfMatch"] != etag:
                raise error("PreconditionFailed", operation, status=412)
        return call(operation, arguments)

    with instead(overwrite):
        assert run() == 1
    assert "  trips/b.jpg: it changed while this command ran. Run the same command again" in capsys.readouterr().out
    assert run() == 0
    assert len(waiting()) == len(table_items("IMAGE#")) == 2


def test_a_lost_response_to_the_item_repeats_the_same_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    put("trips/a.jpg")
    attempts = []

    def lose(call: Call, operation: str, arguments: dict[str, Any]) -> Any:
        result = call(operation, arguments)
        if operation == "PutItem":
            attempts.append(arguments["Item"]["attempt"]["S"])
        if operation in {"PutItem", "GetItem"} and len(attempts) == 1:
            attempts.extend(attempts)
            raise TIMEOUT
        return result

    with instead(lose):
        assert run() == 0
    assert "1 images are queued" in capsys.readouterr().out
    (item,) = table_items("IMAGE#")
    assert item["attempt"] == attempts[0]
    assert len(waiting()) == 1


def test_a_transient_error_of_the_table_is_repeated() -> None:
    put("trips/a.jpg", "trips/b.jpg")
    problems = [error("InternalServerError", status=500), TIMEOUT]
    with failing(lambda operation, _: problems.pop() if operation == "GetItem" and problems else None):
        assert run() == 0
    assert len(waiting()) == 2


def test_archived_objects_fail_with_the_command_that_restores_them(capsys: pytest.CaptureFixture[str]) -> None:
    put("trips/a.jpg")
    put("trips/b's.jpg", "trips/c", StorageClass="GLACIER")
    assert run("--requester-pays") == 1
    restore = "aws s3api restore-object --bucket archive --key"
    out = capsys.readouterr().out
    assert f"{restore} 'trips/b'\"'\"'s.jpg' --restore-request Days=7 --request-payer requester" in out
    assert f"{restore} trips/c --restore-request Days=7" in out
    assert "1 images are queued, 0 were queued before, 2 failed" in out


def test_an_object_of_intelligent_tiering_is_restored_for_good(capsys: pytest.CaptureFixture[str]) -> None:
    put("trips/b.jpg", StorageClass="INTELLIGENT_TIERING")
    with failing(breaks("CopyObject", error("InvalidObjectState", status=403))):
        assert run() == 1
    assert "--bucket archive --key trips/b.jpg --restore-request '{}'\n" in capsys.readouterr().out


def test_the_caller_pays_for_all_requests_if_asked() -> None:
    put("trips/a.jpg", "trips/b")
    with failing(_unpaid) as operations:
        assert run("--requester-pays") == 0
    assert {"ListObjectsV2", "GetObject", "CopyObject"} <= set(operations)
    assert len(waiting()) == 2


def _unpaid(operation: str, arguments: dict[str, Any]) -> BaseException | None:
    is_paid = arguments.get("RequestPayer") == "requester"
    return None if is_paid or operation not in {"ListObjectsV2", "GetObject", "CopyObject"} else error("AccessDenied")


def test_objects_that_are_too_large_are_refused_before_any_call(capsys: pytest.CaptureFixture[str]) -> None:
    put("trips/a.jpg")
    put("trips/b.jpg", content=b"x" * 1_000_001)
    with failing(lambda *_: None) as operations:
        assert run() == 1
    assert "it has 1,000,001 bytes, and the stack accepts at most 1,000,000" in capsys.readouterr().out
    assert operations.count("CopyObject") == operations.count("PutItem") == 1


def test_without_the_parameter_the_limit_is_what_s3_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployed, "parameters", lambda _: {})
    assert backfill._limit(STACK) == 5 * 1024**3  # noqa: SLF001 - an object of this size would take too long


def test_everything_that_is_left_out_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    put("trips/a.jpg", "trips/no-extension", "trips/photo.tiff")
    put("trips/notes.txt", "trips/film.mp4", content=b"x" * 2_000_000)
    put("trips/._a.jpg", "trips/@eaDir/a.jpg", "trips/.thumbnails/b.png")
    put("trips/", "trips/empty.jpg", content=b"")
    assert run() == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "3 images are queued, 0 were queued before"
    (line,) = (line.removeprefix("left out: ") for line in out if line.startswith("left out: "))
    assert sorted(line.split(", ")) == [
        "1 empty objects",
        "1 folders",
        "2 objects that are neither JPG nor PNG",
        "3 files of systems",
    ]
    capsys.readouterr()
    # This folder is asked for.
    assert run("trips/.thumbnails/") == 0
    assert capsys.readouterr().out.startswith("1 images are queued")


def test_the_file_with_failures_is_safe_to_open(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["=1+1.jpg", "+a.jpg", "-b.jpg", "@c.jpg", "\td.jpg", 'é, "f".jpg']
    put(*names, content=b"x" * 1_000_001)
    assert run("--csv", "failed.csv") == 1
    assert {row["key"].removeprefix("'") for row in rows("failed.csv")} == set(names)
    assert sum(row["key"].startswith("'") for row in rows("failed.csv")) == 5
    assert Path("failed.csv").read_bytes().startswith(b"\xef\xbb\xbfkey,status,reason\r\n")
    assert "failed.csv" in capsys.readouterr().out


def test_rows_are_written_as_objects_fail() -> None:
    put("a.jpg", content=b"x" * 1_000_001)
    put("b.jpg")
    seen: list[dict[str, str]] = []

    def look(_: str, arguments: dict[str, Any]) -> None:
        if arguments.get("CopySource"):
            while not seen:
                seen.extend(rows() if Path("backfill.csv").stat().st_size else [])

    with failing(look):
        assert run() == 1
    assert [row["key"] for row in seen] == ["a.jpg"]


def test_a_file_that_cannot_be_written_is_told_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    put("a.jpg")
    with failing(lambda *_: None) as operations:
        assert run("--csv", "no/such/folder.csv") == 1
    assert operations == []
    assert capsys.readouterr().err.startswith("error: no/such/folder.csv cannot be written: No such file")


def test_refused_objects_are_failures_unless_the_first_fifty_are_all_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(*(f"{number:03}.jpg" for number in range(60)))
    denied = error("AccessDenied", "CopyObject", status=403)
    with failing(lambda operation, _: denied if operation == "CopyObject" else None):
        assert run("0", "--workers", "2") == 1
    shown = capsys.readouterr()
    assert "0 images are queued, 0 were queued before, " in shown.out
    assert "failed" not in shown.out
    assert shown.err.startswith("error: access to each of the first 50 images is denied (AccessDenied). Check")
    assert shown.err.count("\n") == 1
    assert table_items("IMAGE#") == []
    assert Path("backfill.csv").read_text() == ""
    # One object is not.
    with failing(
        lambda operation, arguments: (
            denied if operation == "CopyObject" and arguments["CopySource"]["Key"] != "059.jpg" else None
        )
    ):
        assert run("05") == 1
    assert "1 images are queued, 0 were queued before, 9 failed" in capsys.readouterr().out
    assert len(rows()) == 9


@pytest.mark.parametrize("workers", ["0", "65", "many"])
def test_the_number_of_workers_is_checked(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run("--workers", workers)
    assert exit_.value.code == 2
    assert f"{workers} is not a number from 1 to 64" in capsys.readouterr().err


def test_the_clients_are_patient() -> None:
    copies: Any = deployed.s3_for_copies().meta.config
    others: Any = deployed.s3().meta.config
    config: Any
    for config in (copies, others, deployed.sqs().meta.config, deployed.cloudformation().meta.config):
        assert config.connect_timeout == 5
        assert config.retries == {"mode": "standard", "total_max_attempts": 8}
    assert (copies.read_timeout, others.read_timeout) == (300, 60)


def test_names_of_objects_cannot_change_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    put("a\x1b[31m\u202e\n.jpg", content=b"x" * 1_000_001)
    assert run() == 1
    assert "  a\\x1b[31m\\u202e\\n.jpg: it has 1,000,001 bytes" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_sigterm_stops_the_process_with_its_summary(encoding: str) -> None:
    """The only test with a process of its own: moto serves the same buckets to it over HTTP."""
    put(*(f"é{number}.jpg" for number in range(300)))
    put("é.jpg", content=b"x" * 1_000_001)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONIOENCODING": f"{encoding}:strict",
        }
        command = [sys.executable, "-m", "tools.stack.backfill", STACK, BUCKET, "--workers", "2"]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            while process.poll() is None and not (waiting() and Path("backfill.csv").read_text()):
                time.sleep(0.05)
            process.terminate()
            out, err = process.communicate(timeout=60)
    finally:
        server.stop()
    assert (process.returncode, err.splitlines()[-1]) == (143, "stopped. The same command continues")
    first, second, *rest = out.splitlines()
    assert first.startswith(f"{len(waiting())} images are queued, 0 were queued before, 1 failed, ")
    assert second.startswith("not complete: ")
    assert rest[0].endswith(
        ".jpg: it has 1,000,001 bytes, and the stack accepts at most 1,000,000 (MaxDirectUploadBytes)"
    )
    assert run() == 1
    assert len(waiting()) == 300


def test_images_get_the_owner_that_is_named() -> None:
    put("a.jpg")
    digest = owners.digest("API_KEY", "abcdefghij")
    for arguments in ((), ("--owner=abcdefghij",), ("--owner=abcdefghij",), (f"--owner=digest:{digest}",)):
        assert run(*arguments) == 0
    found = {item["owner"]: keys.image_id(item["pk"]) for item in table_items("IMAGE#")}
    assert found.keys() == {SHARED, digest}
    assert waiting() == {keys.uploaded_file(image_id) for image_id in found.values()}
    assert claims.take(found[digest])[0].owner == digest


@pytest.mark.usefixtures("finding_stack")
def test_the_files_of_queued_images_become_known() -> None:
    put("a.jpg")
    digest = owners.digest("API_KEY", "abcdefghij")
    assert run("--owner=abcdefghij") == 0
    (item,) = table_items("IMAGE#")
    assert table_items("HASH#") == []
    event = load_event("process_upload")
    event["Records"][0]["body"] = event["Records"][0]["body"].replace(IMAGE_ID, keys.image_id(item["pk"]))
    assert call("ProcessUploadFunction", event) == {"batchItemFailures": []}
    assert records.find_known(digest, [sha256(scene_png()).hexdigest()]) == {
        sha256(scene_png()).hexdigest(): keys.image_id(item["pk"])
    }


@pytest.mark.parametrize("option", [(), ("--dry-run",)])
def test_what_is_no_owner_ends_the_command(capsys: pytest.CaptureFixture[str], option: tuple[str, ...]) -> None:
    put("a.jpg")
    assert run("--owner=digest:abc", *option) == 1
    assert "digest:abc is no owner" in capsys.readouterr().err
    assert table_items("") == []

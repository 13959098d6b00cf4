"""What all commands for a deployed stack do when something goes wrong, such as backfill and reindex."""

import itertools
import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    CredentialRetrievalError,
    NoCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.models import SHARED
from image_pipeline.storage import clients, records, search_index, terms, thumbnail_store
from tests.deployed_stack import STACK, Call, all_bodies, error, failing, instead
from tests.pictures import scene_png
from tests.stored import bucket_keys, table_items
from tools.local.sample_images import sample_image, store_sample
from tools.local.server import forget_clients
from tools.stack import (
    assign,
    backfill,
    deployed,
    export,
    forget,
    recaption,
    redrive,
    refusals,
    reindex,
    stream_failures,
)

BUCKET = "archive"
OWNER = "a" * 32
KEYS = [f"{letter}.jpg" for letter in "abcde"]
QUEUES = ("UploadsDeadLetterQueue", "LeftoversDeadLetterQueue")


@dataclass(frozen=True)
class Command:
    """A command with elements to work on.

    `step` is a call to AWS without which no element is done, `is_bad` tells whether such a call is for the bad element,
    which takes `bad` elements with it. `done` counts the elements that are done, by what is stored.
    """

    name: str
    run: Callable[[], int]
    step: str
    is_bad: Callable[[dict[str, Any]], bool]
    done: Callable[[], int]
    total: int
    bad: int = 1


@pytest.fixture(params=["backfill", "reindex", "recaption", "redrive", "assign", "export", "forget"])
def command(
    request: pytest.FixtureRequest, stack: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Command]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stream_failures, "_WAIT_SECONDS", 0)
    with moving():
        yield globals()[f"of_{request.param}"](stack)


def of_backfill(_: dict[str, str]) -> Command:
    clients.s3().create_bucket(Bucket=BUCKET)
    for key in KEYS:
        clients.s3().put_object(Bucket=BUCKET, Key=key, Body=scene_png())
    return Command(
        "backfill",
        lambda: backfill.main([STACK, BUCKET]),
        "CopyObject",
        lambda arguments: arguments["CopySource"]["Key"] == "c.jpg",
        lambda: len(bucket_keys(settings.uploads_bucket())),
        len(KEYS),
    )


def of_reindex(_: dict[str, str]) -> Command:
    stored = [sample_image(minutes=minutes) for minutes in range(5)]
    for record in stored:
        store_sample(record)
    return Command(
        "reindex",
        lambda: reindex.main([STACK]),
        "GetItem",
        lambda arguments: stored[2].image_id in arguments["Key"]["pk"]["S"],
        lambda: len(search_index.search(SHARED, terms.wanted("cartoon"), 100, None).records),
        len(stored),
    )


def of_recaption(stack: dict[str, str]) -> Command:
    stored = [sample_image(minutes=minutes) for minutes in range(45)]
    for record in stored:
        store_sample(record)
    model = Path("model.json")
    model.write_text(json.dumps({"id": "other", "revision": "1", "precision": "fp32"}))
    sent = set[str]()

    def done() -> int:
        sent.update(all_bodies(stack["UploadsQueue"]))
        return len(sent)

    batches = itertools.count()
    return Command(
        "recaption",
        lambda: recaption.main([STACK, str(model)]),
        "SendMessageBatch",
        lambda arguments: len(arguments["Entries"]) == 10 and next(batches) == 0,
        done,
        len(stored),
        bad=10,
    )


def of_redrive(stack: dict[str, str]) -> Command:
    for name in QUEUES:
        clients.sqs().send_message(QueueUrl=stack[name], MessageBody="x")
    return Command(
        "redrive",
        lambda: redrive.main([STACK]),
        "StartMessageMoveTask",
        lambda arguments: "UploadsDeadLetterQueue" in arguments["SourceArn"],
        lambda: sum(not all_messages(stack[name]) for name in QUEUES),
        len(QUEUES),
    )


def of_assign(_: dict[str, str]) -> Command:
    stored = [sample_image(minutes=minutes) for minutes in range(5)]
    for record in stored:
        store_sample(record)
    return Command(
        "assign",
        lambda: assign.main([STACK, "--from=shared", f"--to=digest:{OWNER}", "--yes"]),
        "TransactWriteItems",
        lambda arguments: stored[2].image_id in str(arguments),
        lambda: len(records.newest(OWNER, 100).records),
        len(stored),
    )


def of_export(_: dict[str, str]) -> Command:
    stored = [sample_image(minutes=minutes) for minutes in range(5)]
    for record in stored:
        store_sample(record)
        for key in record.thumbnails.values():
            thumbnail_store.put(key, b"x")
    return Command(
        "export",
        lambda: export.main([STACK, "exported"]),
        "GetObject",
        lambda arguments: stored[2].image_id in arguments["Key"],
        lambda: len([*Path().glob("exported/*/medium.jpg")]),
        len(stored),
    )


def of_forget(_: dict[str, str]) -> Command:
    stored = [sample_image(minutes=minutes) for minutes in range(5)]
    for record in stored:
        store_sample(record)
    return Command(
        "forget",
        lambda: forget.main([STACK, "--yes"]),
        "PutItem",
        lambda arguments: stored[2].image_id in arguments["Item"]["pk"]["S"],
        lambda: sum(item["status"] == "deleted" for item in table_items("IMAGE#")),
        len(stored),
    )


def all_messages(url: str) -> int:
    attributes = clients.sqs().get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


@contextmanager
def moving() -> Iterator[None]:
    """Move messages at once. moto has no such operations."""
    moved = dict[str, dict[str, Any]]()

    def answer(call: Call, operation: str, arguments: dict[str, Any]) -> Any:
        arn = arguments.get("SourceArn", "")
        match operation:
            case "StartMessageMoveTask":
                url = call("GetQueueUrl", {"QueueName": arn.rpartition(":")[2]})["QueueUrl"]
                moved[arn] = {"Status": "COMPLETED", "StartedTimestamp": 1, "ApproximateNumberOfMessagesMoved": 1}
                return call("PurgeQueue", {"QueueUrl": url})
            case "ListMessageMoveTasks":
                return {"Results": [moved[arn]] if arn in moved else []}
        return call(operation, arguments)

    with instead(answer):
        yield


def numbers(text: str) -> int:
    """Return the sum of the numbers in the first line of the summary that counts elements."""
    (line, *_) = re.findall(r"^[\d,]+ (?:images|queues) .*$", text, re.MULTILINE)
    return sum(int(number) for number in re.findall(r"\d+", line))


def check_refused(
    command: Command,
    capsys: pytest.CaptureFixture[str],
    contains: str,
    broken: Callable[[str, dict[str, Any]], BaseException | None],
) -> list[str]:
    """Run the command. Nothing is done, and one line says why. There is a summary. Return the calls to AWS."""
    done = command.done()
    with failing(broken) as operations:
        assert command.run() == 1
    shown = capsys.readouterr()
    assert contains in shown.err
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert "Traceback" not in shown.err + shown.out
    # The third queue is empty.
    assert re.search(r"^(0 images|[01] queues) ", shown.out, re.MULTILINE)
    assert "not complete: the command ended early" in shown.out
    assert command.done() == done
    if command.name == "backfill":
        assert table_items("IMAGE#") == []
        assert Path("backfill.csv").read_text() == ""
    return operations


def test_wrong_credentials_stop_a_command_at_its_first_call(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = error("InvalidClientTokenId", status=403)
    operations = check_refused(command, capsys, "AWS refuses the credentials (InvalidClientTokenId)", lambda *_: wrong)
    assert operations == ["DescribeStacks"]


def test_credentials_that_expire_stop_a_command_and_are_no_failures(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """They expire with the first step, which may be a call to DynamoDB that raises StorageError."""
    expired = error("ExpiredToken", status=403)
    operations = check_refused(
        command,
        capsys,
        "AWS refuses the credentials (ExpiredToken)",
        lambda operation, _: expired if operation == command.step else None,
    )
    # Those that had begun, and no try after tries.
    assert operations.count(command.step) <= 32
    assert command.run() == 0
    assert command.done() == command.total


@pytest.mark.usefixtures("new_stack_clients")
def test_without_credentials_a_command_says_so(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command.done()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    forget_all_clients()
    assert command.run() == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("error: NoCredentialsError: Unable to locate credentials. Log in")
    assert shown.err.count("\n") == 1
    assert done == 0


def test_a_stack_that_does_not_exist_is_told(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    missing = error("ValidationError", message="Stack with id a-stack does not exist")
    check_refused(
        command,
        capsys,
        "Stack with id a-stack does not exist. Check STACK and AWS_DEFAULT_REGION",
        lambda operation, _: missing if operation.startswith("DescribeStack") else None,
    )


def test_a_bucket_that_does_not_exist_is_told(stack: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert stack
    for name, line in (("no-such-bucket", "NoSuchBucket: "), ("", "ParamValidationError: ")):
        assert backfill.main([STACK, name, "--dry-run"]) == 1
        shown = capsys.readouterr()
        assert shown.err.startswith(f"error: {line}")
        assert shown.err.count("\n") == 1
        assert shown.out.startswith("0 images would be sent, ")


class NotAws(BaseHTTPRequestHandler):
    """The login page of a network."""

    status, body = 200, b""

    def respond(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(self.body)))
        if self.status == 302:
            self.send_header("Location", "http://127.0.0.1/login")
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_POST = do_PUT = respond  # noqa: N815 - names of the base class

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def not_aws(status: int, body: bytes) -> Iterator[str]:
    """Serve the same response to everything. Yields the URL."""
    handler = type("Handler", (NotAws,), {"status": status, "body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


PAGES = {
    "well-formed page": (200, b"<html><body>Log in</body></html>"),
    "page": (200, b"<html><body><br>Log in</body></html>"),
    "empty": (200, b""),
    "redirect": (302, b"<html></html>"),
    "forbidden": (403, b"<html><br></html>"),
    "not found": (404, b"not here"),
}


# What a command uses after the stack is described.
SERVICES = [
    ("backfill", "S3"),
    ("backfill", "DYNAMODB"),
    ("reindex", "DYNAMODB"),
    ("recaption", "SQS"),
    ("redrive", "SQS"),
    ("assign", "DYNAMODB"),
    ("export", "DYNAMODB"),
    ("export", "S3"),
    ("forget", "DYNAMODB"),
]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("command", "service"), SERVICES, indirect=["command"])
@pytest.mark.usefixtures("new_stack_clients")
def test_a_service_that_is_not_of_aws_stops_a_command(
    command: Command, capsys: pytest.CaptureFixture[str], page: str, service: str
) -> None:
    # botocore takes such a response to a copy for an error of the server.
    is_error = (command.step, service, page) == ("CopyObject", "S3", "page")
    line = "500: Internal Server Error" if is_error else "the response is not from AWS"
    check_not_aws(command, capsys, f"AWS_ENDPOINT_URL_{service}", page, line)


@pytest.mark.parametrize("page", ["well-formed page", "page", "redirect"])
@pytest.mark.usefixtures("new_stack_clients")
def test_an_answer_that_is_not_from_aws_stops_a_command(
    command: Command, capsys: pytest.CaptureFixture[str], page: str
) -> None:
    check_not_aws(command, capsys, "AWS_ENDPOINT_URL", page, "the response is not from AWS")


def check_not_aws(command: Command, capsys: pytest.CaptureFixture[str], variable: str, page: str, line: str) -> None:
    """Run the command with a page as the response. One line says so, and nothing is done."""
    before = command.done()
    with not_aws(*PAGES[page]) as url, pytest.MonkeyPatch.context() as patch:
        for name in ("_PATIENT", "_COPIES"):
            patch.setattr(deployed, name, Config(retries={"total_max_attempts": 1}))
        patch.setenv(variable, url)
        forget_all_clients()
        assert command.run() == 1
    forget_all_clients()
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert line in shown.err
    assert command.done() == before


def forget_all_clients() -> None:
    """Forget all clients, because the next ones get another environment."""
    forget_clients()
    deployed.forget_clients()


@pytest.mark.parametrize("problem", [ZeroDivisionError("unforeseen"), error("InternalError", status=500)], ids=type)
def test_one_bad_element_is_named_and_the_others_are_done(
    command: Command, capsys: pytest.CaptureFixture[str], problem: BaseException
) -> None:
    with failing(
        lambda operation, arguments: problem if operation == command.step and command.is_bad(arguments) else None
    ):
        assert command.run() == 1
    out = capsys.readouterr().out
    assert f", {command.bad} failed" in out
    assert refusals.reason(problem) in out
    assert "not complete" not in out
    assert command.done() == command.total - command.bad
    assert command.run() == 0
    assert command.done() == command.total


@pytest.mark.parametrize("seed", range(4))
def test_sigterm_at_any_moment_ends_a_command_with_its_summary(
    command: Command, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    # Each command makes at least 4 calls.
    at, calls = random.Random(f"{command.name} {seed}").randint(1, 4), itertools.count(1)

    def send_signal(*_: object) -> None:
        if next(calls) == at:
            os.kill(os.getpid(), signal.SIGTERM)

    with failing(send_signal):
        assert command.run() == 143
    shown = capsys.readouterr()
    assert shown.err.endswith("stopped. The same command continues\n")
    assert "Traceback" not in shown.out
    (said,) = re.findall(r"^([\d,]+) (?:images|queues) ", shown.out.split("not complete")[0], re.MULTILINE)[:1]
    if command.name in {"backfill", "recaption"}:
        assert int(said) == command.done()
    assert command.run() == 0
    assert command.done() == command.total
    if command.name == "backfill":
        assert len(table_items("IMAGE#")) == command.total


def test_ctrl_c_ends_a_command_with_its_summary(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    signals = [signal.SIGINT]

    def send_signal(operation: str, _: dict[str, Any]) -> None:
        if operation == command.step and signals:
            os.kill(os.getpid(), signals.pop())

    with failing(send_signal):
        assert command.run() == 130
    shown = capsys.readouterr()
    assert shown.err.endswith("stopped. The same command continues\n")
    assert numbers(shown.out) >= 1


@pytest.mark.parametrize("seconds", [86_400 * 400, -86_400 * 400])
def test_a_clock_that_jumps_changes_nothing(
    command: Command, monkeypatch: pytest.MonkeyPatch, seconds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    now, jumps = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: now() + seconds * (next(jumps) % 2))
    assert command.run() == 0
    assert "failed" not in capsys.readouterr().out
    assert command.done() == command.total


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has this device")
def test_a_full_disk_is_told_in_one_line_and_the_summary_follows(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = of_backfill(stack)
    denied = error("NoSuchKey", status=404)
    with failing(
        lambda operation, arguments: denied if operation == command.step and command.is_bad(arguments) else None
    ):
        assert backfill.main([STACK, BUCKET, "--csv", "/dev/full"]) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "error: /dev/full is not complete: No space left on device. Failures are printed here",
        "c.jpg: it was deleted while this command ran",
    ]
    assert "4 images are queued, 0 were queued before, 1 failed" in shown.out
    # Even if nothing fails, the file is not as asked for.
    assert backfill.main([STACK, BUCKET, "--csv", "/dev/full"]) == 1


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (error("ExpiredToken", status=400), "Log in"),
        (error("InvalidClientTokenId", status=403), "Log in"),
        (error("UnrecognizedClientException", status=400), "Log in"),
        (error("SignatureDoesNotMatch", status=403), "Log in"),
        (NoCredentialsError(), "Log in"),
        (CredentialRetrievalError(provider="sso", error_msg="expired"), "Log in"),
        (TokenRetrievalError(provider="sso", error_msg="expired"), "Log in"),
        (ProfileNotFound(profile="x"), "AWS_PROFILE"),
        (ResponseParserError("no XML"), "AWS_ENDPOINT_URL"),
        (error("PermanentRedirect", status=301), "AWS_ENDPOINT_URL"),
        (error("RequestTimeTooSkewed", status=403), "Set its clock"),
        (error("NoSuchBucket", status=404), "Check the names"),
        (error("403", status=403), "AWS_ENDPOINT_URL"),
        (error("503", status=503), None),
        (error("AccessDenied", status=403), None),
        (error("ValidationError", message="Template format error"), None),
        (BotoCoreError(), None),
        (ValueError("x"), None),
    ],
)
def test_errors_that_every_call_would_meet_have_an_advice(problem: Exception, line: str | None) -> None:
    wrapped = StorageError()
    wrapped.__cause__ = problem
    for advice in (refusals.advice(problem), refusals.advice(wrapped)):
        assert (advice is None) if line is None else (advice is not None and line in advice and "\n" not in advice)


def test_a_stack_of_something_else_is_told(stack: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert stack
    boto3.client("cloudformation").create_stack(
        StackName="other", TemplateBody=json.dumps({"Resources": {"A": {"Type": "AWS::SQS::Queue"}}})
    )
    assert reindex.main(["other"]) == 1
    assert capsys.readouterr().err == "error: the stack other has no output BucketName. Check STACK\n"


def test_a_defect_of_a_command_keeps_its_summary(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stack

    def broken() -> Iterator[Any]:
        yield {"pk": "IMAGE#x"}
        raise ZeroDivisionError

    monkeypatch.setattr(deployed, "images", broken)
    with pytest.raises(ZeroDivisionError):
        reindex.main([STACK])
    assert capsys.readouterr().out.startswith(
        "0 images are in the index, 1 were deleted meanwhile, 0 had terms that the vocabulary lacked\nnot complete: "
    )

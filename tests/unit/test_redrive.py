"""The command that tries again what is in the dead-letter queues."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from image_pipeline import settings
from image_pipeline.storage import clients, search_index, table
from tests.deployed_stack import STACK, Call, bodies, error, failing, instead
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample
from tools.stack import moves as moving
from tools.stack import redrive, stream_failures

pytestmark = pytest.mark.usefixtures("stack")

QUEUES = ("UploadsDeadLetterQueue", "LeftoversDeadLetterQueue", "StreamDeadLetterQueue")


@dataclass
class Moves:
    """SQS's tasks that move messages. moto has no such operations.

    `planned` has the states of the task of each queue, one per look. The last look takes the messages away, if the
    task is complete.
    """

    planned: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    error: ClientError | None = None
    started: list[str] = field(default_factory=list)

    def start(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.started.append(arguments["SourceArn"].rpartition(":")[2])
        if self.error:
            raise self.error
        return {"TaskHandle": "x"}

    def look(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = arguments["SourceArn"].rpartition(":")[2]
        states = next((found for queue, found in self.planned.items() if queue in name), [])
        if not states:
            return {"Results": []}
        state = states.pop(0) if len(states) > 1 else states[0]
        if state.get("Status") == "COMPLETED" and "Lost" not in state:
            clients.sqs().purge_queue(QueueUrl=clients.sqs().get_queue_url(QueueName=name)["QueueUrl"])
        return {"Results": [state] if state else []}


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Iterator[Moves]:
    monkeypatch.setattr(stream_failures, "_WAIT_SECONDS", 0)
    monkeypatch.setattr(stream_failures, "_MAX_PAGES", 5)
    monkeypatch.setattr(moving, "_MAX_DELAY_SECONDS", 0.1)
    planned = Moves()

    def answer(call: Call, operation: str, arguments: dict[str, Any]) -> Any:
        match operation:
            case "StartMessageMoveTask":
                return planned.start(arguments)
            case "ListMessageMoveTasks":
                return planned.look(arguments)
        return call(operation, arguments)

    with instead(answer):
        yield planned


def task(status: str, moved: int = 0, started: int = 2, **rest: Any) -> dict[str, Any]:
    numbers = {"ApproximateNumberOfMessagesMoved": moved, "ApproximateNumberOfMessagesToMove": 1}
    return {"Status": status, "StartedTimestamp": started, **numbers, **rest}


def fill(stack: dict[str, str], *names: str) -> None:
    for name in names:
        clients.sqs().send_message(QueueUrl=stack[name], MessageBody="x")


def test_messages_go_back_from_a_dead_letter_queue(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(stack, "UploadsDeadLetterQueue")
    # A task of yesterday is listed until the new one is.
    old = task("FAILED", started=1)
    moves.planned["UploadsDeadLetterQueue"] = [old, old, task("RUNNING"), task("COMPLETED", 1)]
    assert redrive.main([STACK]) == 0
    assert moves.started == [stack["UploadsDeadLetterQueue"].rpartition("/")[2]]
    *lines, summary = capsys.readouterr().out.splitlines()
    assert sorted(lines) == [
        "LeftoversDeadLetterQueue: 0 messages - nothing to do",
        "StreamDeadLetterQueue: 0 messages - nothing to do",
        "UploadsDeadLetterQueue: 1 of about 1 messages went back",
    ]
    assert summary == "3 queues have no messages left"


def test_a_long_move_is_waited_for(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stack, "UploadsDeadLetterQueue")
    monkeypatch.setattr(moving, "_SECONDS_BETWEEN_LINES", -1)
    moves.planned["UploadsDeadLetterQueue"] = [{}, *[task("RUNNING")] * 100, task("COMPLETED", 1)]
    assert redrive.main([STACK]) == 0
    assert "UploadsDeadLetterQueue: 0 of about 1 messages went back so far" in capsys.readouterr().err


def test_a_move_that_fails_is_told_and_does_not_stop_the_other_queues(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(stack, "UploadsDeadLetterQueue", "LeftoversDeadLetterQueue")
    failed = task("FAILED", FailureReason="CouldNotDetermineMessageSource")
    moves.planned |= {"UploadsDeadLetterQueue": [{}, failed], "LeftoversDeadLetterQueue": [{}, task("COMPLETED", 1)]}
    assert redrive.main([STACK]) == 1
    out = capsys.readouterr().out
    assert "LeftoversDeadLetterQueue: 1 of about 1 messages went back\n" in out
    assert "  UploadsDeadLetterQueue: the move ended as FAILED: CouldNot" in out
    assert "StreamDeadLetterQueue: 0 messages - nothing to do" in out
    assert "2 queues have no messages left, 1 failed" in out


def test_a_move_that_runs_already_is_waited_for(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(stack, "UploadsDeadLetterQueue", "LeftoversDeadLetterQueue")
    # The second begins after the first look.
    moves.planned |= {
        "UploadsDeadLetterQueue": [task("RUNNING"), task("RUNNING"), task("COMPLETED", 1)],
        "LeftoversDeadLetterQueue": [{}, task("RUNNING"), task("COMPLETED", 1)],
    }
    moves.error = error("AWS.SimpleQueueService.UnsupportedOperation", "StartMessageMoveTask")
    assert redrive.main([STACK]) == 0
    assert len(moves.started) == 1
    assert "UploadsDeadLetterQueue: SQS moves its messages already" in capsys.readouterr().out


def test_a_move_that_sqs_refuses_is_told(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(stack, "LeftoversDeadLetterQueue")
    moves.error = error("AWS.SimpleQueueService.UnsupportedOperation", "StartMessageMoveTask")
    assert redrive.main([STACK]) == 1
    assert "LeftoversDeadLetterQueue: 1 messages stay - AWS.SimpleQueueService.Unsupp" in capsys.readouterr().out


def test_messages_that_stay_after_a_move_are_told(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(stack, "LeftoversDeadLetterQueue", "UploadsDeadLetterQueue")
    clients.sqs().receive_message(QueueUrl=stack["UploadsDeadLetterQueue"])
    moves.planned["LeftoversDeadLetterQueue"] = [{}, task("COMPLETED", 0, Lost=True)]
    assert redrive.main([STACK]) == 1
    out = capsys.readouterr().out
    assert "  LeftoversDeadLetterQueue: 1 messages stay" in out
    # A program reads this message, so it cannot be moved.
    assert "  UploadsDeadLetterQueue: 1 messages stay" in out


def test_a_move_that_sqs_never_lists_is_told(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(stack, "LeftoversDeadLetterQueue")
    assert redrive.main([STACK]) == 1
    assert len(moves.started) == 1
    assert "LeftoversDeadLetterQueue: SQS does not say how the move goes" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_move_to_sqs(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str], number: int
) -> None:
    fill(stack, "UploadsDeadLetterQueue")
    moves.planned["UploadsDeadLetterQueue"] = [{}, task("RUNNING")]
    look, signals = moves.look, [number]

    def stop(arguments: dict[str, Any]) -> dict[str, Any]:
        if signals:
            os.kill(os.getpid(), signals.pop())
        return look(arguments)

    moves.look = stop  # type: ignore[method-assign] # only this test sends signals
    assert redrive.main([STACK]) == 128 + number
    shown = capsys.readouterr()
    assert "SQS moves the rest" in shown.out or "were not tried" in shown.out
    assert shown.err.endswith("stopped. The same command continues\n")


def stream_records() -> tuple[str, str, list[tuple[str, dict[str, str]]]]:
    """Return the ARN and the shard of the table's stream, and the sequence number and keys of its records."""
    streams = boto3.client("dynamodbstreams")
    (listed,) = streams.list_streams(TableName=settings.table_name())["Streams"]
    (shard,) = streams.describe_stream(StreamArn=listed["StreamArn"])["StreamDescription"]["Shards"]
    arguments = {"StreamArn": listed["StreamArn"], "ShardId": shard["ShardId"]}
    iterator = streams.get_shard_iterator(**arguments, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    found = [record["dynamodb"] for record in streams.get_records(ShardIterator=iterator)["Records"]]
    return (
        listed["StreamArn"],
        shard["ShardId"],
        [(record["SequenceNumber"], table.deserialize(record["Keys"])) for record in found],
    )


def letter(start: str, end: str) -> str:
    """Return what Lambda sends about a batch that failed."""
    arn, shard, _ = stream_records()
    return json.dumps(
        {
            "requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 11},
            "version": "1.0",
            "DDBStreamBatchInfo": {
                "shardId": shard,
                "startSequenceNumber": start,
                "endSequenceNumber": end,
                "batchSize": 2,
                "streamArn": arn,
            },
        }
    )


def dead_letter(stack: dict[str, str]) -> tuple[str, str]:
    """Store IMAGE_ID, and send its record to the dead-letter queue of the stream. Return the queue and the message."""
    store_sample(sample_image(IMAGE_ID))
    _, _, [(number, _), *_] = stream_records()
    url, body = stack["StreamDeadLetterQueue"], letter(number, number)
    clients.sqs().send_message(QueueUrl=url, MessageBody=body)
    return url, body


@pytest.mark.usefixtures("moves")
def test_the_images_of_the_streams_dead_letters_go_to_the_queue(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    stored = [sample_image() for _ in range(4)]
    for record in stored:
        store_sample(record)
        # Its entries and its inventory are records of the stream too.
        search_index.update(record.image_id)
    _, _, found = stream_records()
    at = [number for number, key in found if key["sk"] == "IMAGE"]
    url = stack["StreamDeadLetterQueue"]
    # An unreadable message comes first. Others are between valid messages.
    endless = letter(at[0], str(int(at[-1]) + 999_999))
    odd = ["no JSON", "{}", "[]", '{"DDBStreamBatchInfo": null}', letter("x", "1"), endless]
    for body in (*odd[:3], letter(at[0], at[1]), *odd[3:5], letter(at[3], at[3]), odd[5]):
        clients.sqs().send_message(QueueUrl=url, MessageBody=body)
    assert redrive.main([STACK]) == 1
    sent = [stored[0].image_id, stored[1].image_id, stored[3].image_id]
    assert sorted(bodies(stack["LeftoversQueue"])) == sorted(sent)
    assert sorted(bodies(url)) == sorted(odd)
    out = capsys.readouterr().out
    assert "StreamDeadLetterQueue: 2 messages with 3 images went to LeftoversQueue" in out
    assert out.count("stays - this is no message of Lambda about a stream") == 4
    assert out.count("stays - its sequence numbers are no numbers") == 1
    assert out.count("stays - its last record is not in the stream") == 1


@pytest.mark.usefixtures("moves")
def test_more_odd_messages_than_one_call_returns_do_not_hide_a_good_one(stack: dict[str, str]) -> None:
    store_sample(sample_image(IMAGE_ID))
    _, _, [(number, _), *_] = stream_records()
    for body in [*("odd" for _ in range(25)), letter(number, number)]:
        clients.sqs().send_message(QueueUrl=stack["StreamDeadLetterQueue"], MessageBody=body)
    assert redrive.main([STACK]) == 1
    assert bodies(stack["LeftoversQueue"]) == [IMAGE_ID]


@pytest.mark.usefixtures("moves")
@pytest.mark.parametrize("code", ["TrimmedDataAccessException", "ResourceNotFoundException"])
def test_a_dead_letter_stays_if_the_stream_no_longer_has_its_records(
    code: str, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, body = dead_letter(stack)
    with failing(lambda operation, _: error(code, operation) if operation == "GetShardIterator" else None):
        assert redrive.main([STACK]) == 1
    assert bodies(url) == [body]
    assert bodies(stack["LeftoversQueue"]) == []
    assert "`make reindex` settles these images" in capsys.readouterr().out


@pytest.mark.usefixtures("moves")
def test_a_dead_letter_stays_if_the_queue_refuses_its_images(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, body = dead_letter(stack)
    refused = {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}
    with instead(lambda call, name, values: refused if name == "SendMessageBatch" else call(name, values)):
        assert redrive.main([STACK]) == 1
    assert bodies(url) == [body]
    assert "stays - InternalError" in capsys.readouterr().out


@pytest.mark.usefixtures("moves")
def test_an_unforeseen_error_of_one_dead_letter_does_not_keep_the_others(
    monkeypatch: pytest.MonkeyPatch, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, body = dead_letter(stack)
    clients.sqs().send_message(QueueUrl=url, MessageBody=body.replace("RetryAttempts", "Other"))
    read, bodies_read = stream_failures.read, list[str]()

    def failing_first(text: str) -> stream_failures.Batch:
        bodies_read.append(text)
        if len(bodies_read) == 1:
            raise ZeroDivisionError("nobody foresaw this")
        return read(text)

    monkeypatch.setattr(stream_failures, "read", failing_first)
    assert redrive.main([STACK]) == 1
    assert bodies(stack["LeftoversQueue"]) == [IMAGE_ID]
    assert bodies(url) == bodies_read[:1]
    assert "stays - ZeroDivisionError: nobody foresaw this" in capsys.readouterr().out

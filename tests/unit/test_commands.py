"""The commands for a deployed stack: backfill, recaption, redrive, reindex."""

import json
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.models import CaptionModel, ThumbnailSize
from image_pipeline.storage import claims, clients, keys, records, search_index, table, thumbnail_store
from tests.pictures import scene_png
from tests.stored import bucket_keys
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample
from tools.local.server import DEMO_MODEL
from tools.stack import backfill, recaption, redrive, reindex, stream_failures

pytestmark = pytest.mark.usefixtures("aws")

BUCKET, STACK = "archive", "a-stack"


@pytest.fixture(autouse=True)
def stack(aws: None) -> dict[str, str]:  # noqa: ARG001 - it is needed first
    """A stack with the outputs of template.yaml. It has its own queues, and the bucket and table of the tests."""
    queue = {"Type": "AWS::SQS::Queue"}
    names = (
        "UploadsQueue",
        "UploadsDeadLetterQueue",
        "LeftoversQueue",
        "LeftoversDeadLetterQueue",
        "StreamDeadLetterQueue",
    )
    values: dict[str, Any] = {
        "TableName": settings.table_name(),
        "BucketName": settings.bucket_name(),
        "UploadsBucketName": settings.uploads_bucket(),
        "UploadsQueueUrl": {"Ref": "UploadsQueue"},
    }
    outputs = {name: {"Value": value} for name, value in values.items()}
    template = {"Resources": dict.fromkeys(names, queue), "Outputs": outputs}
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(template))
    found = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}


@pytest.fixture
def archive() -> list[str]:
    """A bucket with two pictures below `trips/`, one elsewhere, and a text."""
    clients.s3().create_bucket(Bucket=BUCKET)
    names = ["trips/a.PNG", "trips/b c.jpg", "other/d.png", "trips/notes.txt"]
    for name in names:
        clients.s3().put_object(Bucket=BUCKET, Key=name, Body=scene_png())
    return names


def waiting() -> set[str]:
    return {*bucket_keys(settings.uploads_bucket())}


@pytest.mark.usefixtures("archive")
def test_a_dry_run_counts_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert backfill.main([STACK, BUCKET, "trips/", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("2 images, ")
    assert waiting() == set()


@pytest.mark.usefixtures("archive")
def test_a_backfill_queues_each_image_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert backfill.main([STACK, BUCKET, "trips/"]) == 0
    assert "2 images are queued, 0 were queued before" in capsys.readouterr().out
    assert len(waiting()) == 2
    # An interrupted command may have created the item, but not the file. So a requested image is copied again.
    for key in waiting():
        clients.s3().delete_object(Bucket=settings.uploads_bucket(), Key=key)
    backfill.main([STACK, BUCKET])
    assert len(waiting()) == 3
    capsys.readouterr()
    for key in waiting():
        image_id = keys.image_of_file(key)
        assert image_id
        records.delete(image_id)
        clients.s3().delete_object(Bucket=settings.uploads_bucket(), Key=key)
    backfill.main([STACK, BUCKET])
    assert "0 images are queued, 3 were queued before" in capsys.readouterr().out
    assert waiting() == set()


def test_images_with_the_caption_of_another_model_are_queued(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    described = json.loads((DEMO_MODEL / "model.json").read_text())
    model = CaptionModel(described["id"], described["revision"], described["precision"])
    others = [sample_image(minutes=minutes) for minutes in range(12)]
    for record in (sample_image(IMAGE_ID), *others):
        store_sample(record)
    records.replace_caption(records.get(IMAGE_ID), "a caption", Decimal("0.5"), model)
    old = [record for record in others if record.caption_model != model]
    assert recaption.main([STACK, str(DEMO_MODEL / "model.json")]) == 0
    assert f"{len(old)} images are queued" in capsys.readouterr().out
    number = clients.sqs().get_queue_attributes(
        QueueUrl=stack["UploadsQueue"], AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]["ApproximateNumberOfMessages"]
    assert int(number) == len(old)


@dataclass
class Moves:
    """SQS's tasks that move messages. moto has no such operations."""

    results: list[dict[str, Any]] = field(default_factory=list)
    error: ClientError | None = None
    started: list[str] = field(default_factory=list)

    def start_message_move_task(self, **arguments: str) -> None:
        self.started.append(arguments["SourceArn"].rpartition(":")[2])
        if self.error:
            raise self.error

    def list_message_move_tasks(self, **_: object) -> dict[str, Any]:
        return {"Results": [self.results.pop(0)]}


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Moves:
    sqs, client, moves = boto3.client("sqs"), boto3.client, Moves()
    for name in ("start_message_move_task", "list_message_move_tasks"):
        monkeypatch.setattr(sqs, name, getattr(moves, name), raising=False)
    monkeypatch.setattr(boto3, "client", lambda service: sqs if service == "sqs" else client(service))
    monkeypatch.setattr(stream_failures, "_WAIT_SECONDS", 0)
    monkeypatch.setattr(stream_failures, "_MAX_PAGES", 5)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return moves


def test_messages_go_back_from_a_dead_letter_queue(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    clients.sqs().send_message(QueueUrl=stack["UploadsDeadLetterQueue"], MessageBody="x")
    moves.results += [{"Status": "RUNNING"}, {"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 1}]
    assert redrive.main([STACK]) == 0
    assert moves.started == [stack["UploadsDeadLetterQueue"].rpartition("/")[2]]
    assert capsys.readouterr().out.splitlines() == [
        "UploadsDeadLetterQueue: 1 of about 1 messages went back",
        "LeftoversDeadLetterQueue: 0 messages - nothing to do",
        "StreamDeadLetterQueue: 0 messages - nothing to do",
    ]


def test_a_move_that_fails_is_told_and_does_not_stop_the_other_queues(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("UploadsDeadLetterQueue", "LeftoversDeadLetterQueue"):
        clients.sqs().send_message(QueueUrl=stack[name], MessageBody="x")
    failed = {"Status": "FAILED", "FailureReason": "CouldNotDetermineMessageSource"}
    moves.results += [failed, {"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 1}]
    assert redrive.main([STACK]) == 1
    out = capsys.readouterr().out
    assert "LeftoversDeadLetterQueue: 1 of about 1 messages went back\n" in out
    assert "UploadsDeadLetterQueue: 0 of about 1 messages went back. The move ended as FAILED: CouldNot" in out
    assert "StreamDeadLetterQueue: 0 messages - nothing to do" in out


def test_a_move_that_sqs_refuses_is_told(
    moves: Moves, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    clients.sqs().send_message(QueueUrl=stack["LeftoversDeadLetterQueue"], MessageBody="x")
    moves.error = ClientError(
        {"Error": {"Code": "AWS.SimpleQueueService.UnsupportedOperation"}}, "StartMessageMoveTask"
    )
    assert redrive.main([STACK]) == 1
    assert "LeftoversDeadLetterQueue: 1 messages stay - An error occurred" in capsys.readouterr().out


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


def bodies(url: str) -> list[str]:
    """Return the visible messages of a queue."""
    found = clients.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in found.get("Messages", [])]


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
    code: str, monkeypatch: pytest.MonkeyPatch, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, body = dead_letter(stack)

    call = vars(BaseClient)["_make_api_call"]

    def refuse(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        if operation == "GetShardIterator":
            raise ClientError({"Error": {"Code": code}}, operation)
        return call(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", refuse)
    assert redrive.main([STACK]) == 1
    assert bodies(url) == [body]
    assert bodies(stack["LeftoversQueue"]) == []
    assert "`make reindex` settles these images" in capsys.readouterr().out


@pytest.mark.usefixtures("moves")
def test_a_dead_letter_stays_if_the_queue_refuses_its_images(
    monkeypatch: pytest.MonkeyPatch, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, body = dead_letter(stack)
    refused = {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}
    monkeypatch.setattr(clients.sqs(), "send_message_batch", lambda **_: refused)
    assert redrive.main([STACK]) == 1
    assert bodies(url) == [body]
    assert "stays - InternalError" in capsys.readouterr().out


def test_the_index_is_written_again(capsys: pytest.CaptureFixture[str]) -> None:
    stored = [sample_image(minutes=minutes) for minutes in range(103)]
    for record in stored:
        store_sample(record)
    search_index.update(stored[0].image_id)
    entry = keys.term("cartoon", keys.listing_position(stored[0]))
    table.write_batch([], [entry])
    assert reindex.main([STACK]) == 0
    assert "103 images are in the index" in capsys.readouterr().out
    found = search_index.search(["cartoon", "pictur"], 100, None)
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
            raise StorageError from ClientError({"Error": {"Code": "ValidationException"}}, "BatchWriteItem")
        return update(image_id, **arguments)

    monkeypatch.setattr(search_index, "update", failing)
    assert reindex.main([STACK, *options]) == 1
    shown = capsys.readouterr()
    assert "2 images are in the index" in shown.out
    assert ("images without an item have files" in shown.out) == (not options)
    assert f"error: the image {stored[0].image_id} is not: StorageError: " in shown.err
    assert "ValidationException" in shown.err
    found = search_index.search(["cartoon"], 100, None)
    assert [record.image_id for record in found.records] == [record.image_id for record in stored[:0:-1]]


def test_files_without_an_item_are_given_to_the_function_that_deletes_them(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    store_sample(sample_image(IMAGE_ID))
    claims.request(waiting_id := str(uuid4()), "a.jpg")
    gone = [str(uuid4()) for _ in range(13)]
    for image_id in (IMAGE_ID, waiting_id, gone[0]):
        clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(image_id), Body=b"x")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.original(gone[1]), Body=b"x")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key="uploads/not-ours", Body=b"x")
    for image_id in (IMAGE_ID, *gone[1:]):
        for size in ThumbnailSize:
            thumbnail_store.put(keys.thumbnail(image_id, size, "jpg"), b"x")
    assert reindex.main([STACK]) == 0
    assert "13 images without an item have files" in capsys.readouterr().out
    url, sent = stack["LeftoversQueue"], list[str]()
    while found := clients.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        sent += [message["Body"] for message in found]
    assert sorted(sent) == sorted(gone)
    assert reindex.main([STACK, "--keep-files"]) == 0
    assert capsys.readouterr().out == "1 images are in the index\n"
    assert bodies(url) == []

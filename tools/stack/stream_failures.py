"""The dead letters of the table's stream: messages of Lambda about records that it could not process.

Such a message names a range of records in a shard, not the records. DynamoDB keeps them for 24 hours.
"""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline.storage import keys
from tools.stack import deployed, messages, parallel, refusals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_dynamodbstreams.type_defs import RecordTypeDef
    from mypy_boto3_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef, MessageTypeDef

    from clients.stopping import StopRequest

# A message that is kept stays invisible for this time, so that the queue does not give it again to the same command.
_HIDDEN_SECONDS = 900
_WAIT_SECONDS = 1
# DynamoDB may return pages without records. A range without an end after this many pages is given up.
_MAX_PAGES = 1000
_GONE_CODES = {"TrimmedDataAccessException", "ResourceNotFoundException"}


class RecordsGoneError(Exception):
    """The records are no longer in the stream."""


class UnreadableError(Exception):
    """The message or its records cannot be read."""


@dataclass(frozen=True)
class Batch:
    """Records of a shard of a stream, by their first and last sequence number."""

    stream_arn: str
    shard_id: str
    start: str
    end: str


@dataclass
class Outcome:
    """What happened to the messages: how many were sent as how many images, and the ids of those that are kept.

    `gone` has the ids of the messages whose records are no longer in the stream. `kept` has the reasons of the others.
    """

    sent: int = 0
    images: int = 0
    gone: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def resend(url: str, target: str, stop: "StopRequest") -> Outcome:
    """Send the image ids of the records that the messages of the queue `url` name to the queue `target`.

    A message is deleted after its ids are sent. At the end, the other messages are visible again. Raises an error that
    every other message would meet as well.
    """
    outcome, kept = Outcome(), list[str]()
    try:
        for message in waiting(url, stop):
            name = message["MessageId"]
            kept.append(message["ReceiptHandle"])
            if stop.is_set:
                continue
            try:
                found = _send_images(message, url, target)
            except RecordsGoneError:
                outcome.gone.append(name)
            except Exception as error:
                if refusals.advice(error):
                    raise
                outcome.kept[name] = str(error) if isinstance(error, UnreadableError) else refusals.reason(error)
            else:
                kept.pop()
                outcome.sent, outcome.images = outcome.sent + 1, outcome.images + found
    finally:
        show(url, kept)
    return outcome


def read(body: str) -> Batch:
    """Return the records that a message of Lambda names. Raises UnreadableError."""
    try:
        described = json.loads(body)["DDBStreamBatchInfo"]
        names = ("streamArn", "shardId", "startSequenceNumber", "endSequenceNumber")
        arn, shard, start, end = (str(described[name]) for name in names)
    except (ValueError, KeyError, TypeError):
        raise UnreadableError("this is no message of Lambda about a stream") from None
    if not (start.isdecimal() and end.isdecimal()):
        raise UnreadableError("its sequence numbers are no numbers")
    return Batch(arn, shard, start, end)


def image_ids(batch: Batch) -> list[str]:
    """Return the ids of the images whose items changed in these records. Raises RecordsGoneError and UnreadableError.

    Raises the other errors of botocore.
    """
    try:
        found = {record["dynamodb"]["Keys"]["pk"]["S"]: None for record in _records(batch) if _is_image(record)}
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE_CODES:
            raise RecordsGoneError from error
        raise
    return [keys.image_id(partition_key) for partition_key in found]


def _send_images(message: "MessageTypeDef", url: str, target: str) -> int:
    """Send the images of a message, and delete it. Return how many they are. Raises UnreadableError and others."""
    found = image_ids(read(message["Body"]))
    if refused := messages.send(target, found):
        raise UnreadableError(next(iter(refused.values())))
    deployed.sqs().delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return len(found)


def show(url: str, handles: "Sequence[str]") -> None:
    """Make messages visible again. After a long run, they may be visible already."""
    for batch in parallel.batches(handles, messages.MAX_BATCH):
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {"Id": str(at), "ReceiptHandle": handle, "VisibilityTimeout": 0} for at, handle in enumerate(batch)
        ]
        with suppress(ClientError, BotoCoreError):
            deployed.sqs().change_message_visibility_batch(QueueUrl=url, Entries=entries)


def waiting(url: str, stop: "StopRequest") -> "Iterator[MessageTypeDef]":
    """Yield each message of a queue once. It stays hidden from others for a while."""
    seen: set[str] = set()
    while not stop.is_set:
        received = deployed.sqs().receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=_HIDDEN_SECONDS,
            WaitTimeSeconds=_WAIT_SECONDS,
        )
        if not received.get("Messages"):
            return
        new = [message for message in received["Messages"] if message["MessageId"] not in seen]
        seen.update(message["MessageId"] for message in new)
        yield from new


def _records(batch: Batch) -> "Iterator[RecordTypeDef]":
    streams = deployed.streams()
    page: Any = streams.get_shard_iterator(
        StreamArn=batch.stream_arn,
        ShardId=batch.shard_id,
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        SequenceNumber=batch.start,
    )
    iterator, last = page["ShardIterator"], int(batch.end)
    for _ in range(_MAX_PAGES):
        page = streams.get_records(ShardIterator=iterator)
        for record in page["Records"]:
            number = int(record["dynamodb"]["SequenceNumber"])
            if number <= last:
                yield record
            if number >= last:
                return
        iterator = page.get("NextShardIterator")
        # A closed shard ends here.
        if iterator is None:
            break
    raise UnreadableError("its last record is not in the stream")


def _is_image(record: "RecordTypeDef") -> bool:
    return record["dynamodb"]["Keys"].get("sk") == {"S": "IMAGE"}

"""The events of the local API: reads the queues and the stream of the table, and calls the functions that follow them.

On AWS, Lambda does this. The events are built as Lambda builds them, from the event sources in template.yaml.
"""

import json
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.template import Template, functions

Json = dict[str, Any]
Call = Callable[[str, Json], Json]
_Invoke = Callable[[list[Json]], set[str]]
_POLL_SECONDS = 0.5
_REGION = "us-east-1"


@contextmanager
def running(
    template: Template,
    names: dict[str, str],
    client: Callable[[Any], Any],
    call: Call,
    checkpoints: Path | None = None,
) -> Iterator[None]:
    """Deliver events until the block ends.

    `names` has the name of each table and the URL of each queue by its logical id. `client` makes the client of an AWS
    service. `call` calls a function, by its logical id, with an event, and returns its response. The file `checkpoints`
    keeps what has been read of the stream, for the next start.
    """
    stop = threading.Event()
    read = _Checkpoints(checkpoints)
    threads = []
    for function, properties in functions(template).items():
        for source in properties.get("Events", {}).values():
            deliver = _source(source, names, client, _invoker(function, call), read)
            if deliver:
                threads.append(threading.Thread(target=_poll, args=(deliver, stop), name=f"events of {function}"))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def matches(pattern: Any, value: Any) -> bool:  # noqa: ANN401 - JSON
    """Return whether an event matches a pattern. Supports only lists of allowed values in nested objects."""
    if isinstance(pattern, list):
        return value in pattern
    return all(name in value and matches(part, value[name]) for name, part in pattern.items())


class _Checkpoints:
    """The sequence number of the last record of each shard that a function has processed."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._numbers: dict[str, str] = json.loads(file.read_text()) if file and file.exists() else {}

    def start(self, shard: str) -> Json:
        """Return from where to read a shard, as the arguments of GetShardIterator."""
        if number := self._numbers.get(shard):
            return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number}
        return {"ShardIteratorType": "TRIM_HORIZON"}

    def keep(self, shard: str, number: str) -> None:
        self._numbers[shard] = number
        if self._file:
            # Replaced at once, so that a killed process leaves a whole file.
            new = self._file.with_name(f"{self._file.name}.new")
            new.write_text(json.dumps(self._numbers))
            new.replace(self._file)

    def forget_all_but(self, shards: list[str]) -> None:
        """Forget shards that no longer exist."""
        self._numbers = {shard: number for shard, number in self._numbers.items() if shard in shards}


def _source(
    source: Json, names: dict[str, str], client: Callable[[Any], Any], invoke: _Invoke, checkpoints: _Checkpoints
) -> Callable[[], None] | None:
    match source:
        case {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": [queue, "Arn"]}}}:
            return _queue(client("sqs"), names[queue], source["Properties"].get("BatchSize", 10), invoke)
        case {"Type": "DynamoDB", "Properties": {"Stream": {"Fn::GetAtt": [table, "StreamArn"]}}}:
            arn = client("dynamodb").describe_table(TableName=names[table])["Table"]["LatestStreamArn"]
            filters = [json.loads(each["Pattern"]) for each in source["Properties"]["FilterCriteria"]["Filters"]]
            return _Stream(client("dynamodbstreams"), arn, filters, invoke, checkpoints).deliver
    return None


def _invoker(function: str, call: Call) -> _Invoke:
    """Return a function that sends records to a Lambda function, and returns the ids of those that failed."""

    def invoke(records: list[Json]) -> set[str]:
        return {failure["itemIdentifier"] for failure in call(function, {"Records": records})["batchItemFailures"]}

    return invoke


def _queue(sqs: Any, url: str, batch_size: int, invoke: _Invoke) -> Callable[[], None]:  # noqa: ANN401
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def deliver() -> None:
        received = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=batch_size, MessageSystemAttributeNames=["All"]
        ).get("Messages", [])
        if not received:
            return
        failed = invoke([_message(message, arn) for message in received])
        for message in received:
            # A message that failed appears again after the visibility timeout.
            if message["MessageId"] not in failed:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    return deliver


def _message(message: Any, arn: str) -> Json:  # noqa: ANN401
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": _REGION,
    }


@dataclass
class _Stream:
    """Reads the stream of a table from where the checkpoints are, and calls a function with the records."""

    client: Any
    arn: str
    filters: list[Json]
    invoke: _Invoke
    checkpoints: _Checkpoints
    _positions: dict[str, str | None] = field(default_factory=dict)

    def deliver(self) -> None:
        if not any(self._positions.values()):
            self._find_shards()
        for shard, position in self._positions.items():
            if position is not None:
                self._positions[shard] = self._read(shard, position)

    def _find_shards(self) -> None:
        described = self.client.describe_stream(StreamArn=self.arn)["StreamDescription"]
        shards = [shard["ShardId"] for shard in described["Shards"]]
        self.checkpoints.forget_all_but(shards)
        for shard in shards:
            if shard not in self._positions:
                self._positions[shard] = self._start(shard)

    def _start(self, shard: str) -> str:
        def iterator(**start: str) -> str:
            found: str = self.client.get_shard_iterator(StreamArn=self.arn, ShardId=shard, **start)["ShardIterator"]
            return found

        try:
            return iterator(**self.checkpoints.start(shard))
        except self.client.exceptions.TrimmedDataAccessException:
            return iterator(ShardIteratorType="TRIM_HORIZON")

    def _read(self, shard: str, position: str) -> str | None:
        """Return the next position: the same one if a record failed, because Lambda sends the batch again."""
        try:
            found = self.client.get_records(ShardIterator=position)
        except self.client.exceptions.ExpiredIteratorException:
            return self._start(shard)
        records = [_change(record, self.arn) for record in found["Records"]]
        wanted = [record for record in records if any(matches(pattern, record) for pattern in self.filters)]
        if wanted and self.invoke(wanted):
            return position
        if records:
            self.checkpoints.keep(shard, records[-1]["dynamodb"]["SequenceNumber"])
        # A closed shard has no next iterator.
        next_position: str | None = found.get("NextShardIterator")
        return next_position


def _change(record: Any, arn: str) -> Json:  # noqa: ANN401
    changed = dict(record["dynamodb"])
    changed["ApproximateCreationDateTime"] = changed["ApproximateCreationDateTime"].timestamp()
    return {**record, "dynamodb": changed, "eventSourceARN": arn}


def _poll(deliver: Callable[[], None], stop: threading.Event) -> None:
    while not stop.wait(_POLL_SECONDS):
        try:
            deliver()
        except Exception:  # noqa: BLE001 - Lambda goes on after any exception
            traceback.print_exc()

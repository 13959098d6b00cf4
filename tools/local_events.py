"""The events of the local API: reads the queues and the stream of the table, and calls the functions that follow them.

On AWS, Lambda does this. The events are built as Lambda builds them, from the event sources in template.yaml.
"""

import json
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from tools.local_gateway import LocalContext
from tools.template import Template, functions, handler

Json = dict[str, Any]
Invoke = Callable[[list[Json]], set[str]]
_POLL_SECONDS = 0.2
_REGION = "us-east-1"


@contextmanager
def running(template: Template, resources: dict[str, str]) -> Iterator[None]:
    """Deliver events until the block ends. `resources` has the name of each queue and table by its logical id."""
    stop = threading.Event()
    threads = []
    for name, properties in functions(template).items():
        for source in properties["Events"].values():
            deliver = _source(source, resources, _invoker(name, properties))
            if deliver:
                threads.append(threading.Thread(target=_poll, args=(deliver, stop), name=f"events-{name}", daemon=True))
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


def _source(source: Json, resources: dict[str, str], invoke: Invoke) -> Callable[[], None] | None:
    match source:
        case {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": [queue, "Arn"]}}}:
            return _queue(resources[queue], source["Properties"].get("BatchSize", 10), invoke)
        case {"Type": "DynamoDB", "Properties": {"Stream": {"Fn::GetAtt": [table, "StreamArn"]}}}:
            filters = [json.loads(each["Pattern"]) for each in source["Properties"]["FilterCriteria"]["Filters"]]
            return _stream(resources[table], filters, invoke)
    return None


def _invoker(name: str, properties: Json) -> Invoke:
    """Return a function that sends records to a Lambda function, and returns the ids of those that failed."""

    def invoke(records: list[Json]) -> set[str]:
        answer = handler(properties)({"Records": records}, LocalContext(name, seconds=120))
        return {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}

    return invoke


def _queue(url: str, batch_size: int, invoke: Invoke) -> Callable[[], None]:
    sqs = boto3.client("sqs")
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


def _message(message: Any, arn: str) -> Json:  # noqa: ANN401 - boto3's type of a message
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


def _stream(table: str, filters: list[Json], invoke: Invoke) -> Callable[[], None]:
    streams = boto3.client("dynamodbstreams")
    arn = boto3.client("dynamodb").describe_table(TableName=table)["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    position = iterator["ShardIterator"]

    def deliver() -> None:
        nonlocal position
        found = streams.get_records(ShardIterator=position)
        records = [_change(record, arn) for record in found["Records"]]
        wanted = [record for record in records if any(matches(pattern, record) for pattern in filters)]
        # Lambda sends the batch again if a record failed.
        if not wanted or not invoke(wanted):
            position = found["NextShardIterator"]

    return deliver


def _change(record: Any, arn: str) -> Json:  # noqa: ANN401 - boto3's type of a record
    changed = dict(record["dynamodb"])
    changed["ApproximateCreationDateTime"] = changed["ApproximateCreationDateTime"].timestamp()
    return {**record, "dynamodb": changed, "eventSourceARN": arn}


def _poll(deliver: Callable[[], None], stop: threading.Event) -> None:
    while not stop.wait(_POLL_SECONDS):
        try:
            deliver()
        except Exception:  # noqa: BLE001 - Lambda goes on after any exception
            traceback.print_exc()

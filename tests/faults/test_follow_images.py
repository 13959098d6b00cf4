"""FollowImagesFunction: every fault in each of its calls, and the stream of the table, which invokes it."""

import json
from typing import Any

import boto3
import pytest

from functions.follow_images import app
from image_pipeline import settings
from image_pipeline.models import STANDARD_SIZES
from image_pipeline.storage import clients, search_index, table, terms
from image_pipeline.storage.keys import image as image_key
from tests.events import load_event
from tests.faults.injection import ONCE, Call, Fault, KilledError, faults, only
from tests.faults.pipeline import Pipeline, keys
from tests.faults.test_uploads import CONTENT
from tools import template
from tools.local.gateway import LocalContext
from tools.local.notifications import matches


def follow(event: dict[str, Any]) -> bool:
    """Return whether all records are done."""
    return not app.lambda_handler(event, LocalContext("FollowImagesFunction"))["batchItemFailures"]


def upload_and_be_killed(pipeline: Pipeline) -> None:
    # The transaction of a limited owner comes first.
    last = Call("TransactWriteItems", 0 if pipeline.caller is None else 1)
    with faults(only(last, Fault.KILLED_BEFORE)):
        assert pipeline.upload(CONTENT, None) is None
    assert len(keys()) == len(STANDARD_SIZES)


def leftovers() -> list[str]:
    """Take the image ids from the queue of files that are still to be deleted."""
    url = settings.leftovers_queue_url()
    messages = clients.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        clients.sqs().delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in messages]


def follow_leftover(image_id: str) -> bool:
    event = load_event("follow_images_leftover")
    event["Records"][0]["body"] = image_id
    return follow(event)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.strikes("DeleteObjects")])
def test_files_that_are_not_deleted_wait_in_the_stream_or_in_the_queue(pipeline: Pipeline, fault: Fault) -> None:
    upload_and_be_killed(pipeline)
    (event,) = pipeline.expire()
    with faults(lambda _: None) as calls:
        assert follow(event)
    assert calls
    for call in calls:
        upload_and_be_killed(pipeline)
        (event,) = pipeline.expire()
        with faults(only(call, fault)) as made:
            try:
                done = follow(event)
            except KilledError:
                done = False
        assert call in made
        waiting = leftovers()
        if fault in ONCE:
            assert (done, waiting) == (True, [])
        # Lambda repeats a record of the stream that failed. SQS repeats a message.
        if not done:
            assert follow(event)
        for image_id in waiting:
            assert follow_leftover(image_id)
        assert not keys()


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.strikes("BatchWriteItem")])
def test_the_index_is_complete_after_a_fault_and_a_repetition(pipeline: Pipeline, fault: Fault) -> None:
    def finish() -> tuple[str, dict[str, Any]]:
        pipeline.upload(CONTENT, None)
        image_id = list(pipeline.acknowledged)[-1]
        event = load_event("follow_images_finished")
        event["Records"][0]["dynamodb"]["Keys"] = table.serialize(image_key(image_id))
        return image_id, event

    _, event = finish()
    with faults(lambda _: None) as calls:
        assert follow(event)
    for call in calls:
        image_id, event = finish()
        with faults(only(call, fault)):
            try:
                done = follow(event)
            except KilledError:
                done = False
        if not done:
            assert follow(event)
        for leftover in leftovers():
            assert follow_leftover(leftover)
        assert image_id in [
            record.image_id for record in search_index.search(pipeline.owner, terms.wanted("png"), 100, None).records
        ]


@pytest.mark.parametrize("pipeline", ["DynamoDB Local"], indirect=True)
def test_the_stream_reports_expired_images_and_the_filter_passes_them(pipeline: Pipeline) -> None:
    upload_and_be_killed(pipeline)
    pipeline.upload(CONTENT, "a-key")
    assert len(list(pipeline.expire())) == 1
    request = table.serialize({"pk": "REQUEST#a-key", "sk": "REQUEST"})
    clients.dynamodb().delete_item(TableName=settings.table_name(), Key=request)
    events = followed_records()
    # The stored image is added to the search index. The upload that was killed has left files.
    assert sorted(event["eventName"] for event in events) == ["MODIFY", "REMOVE"]
    assert follow({"Records": events})
    assert [
        record.image_id for record in search_index.search(pipeline.owner, terms.wanted("png"), 10, None).records
    ] == list(pipeline.acknowledged)
    assert {key.partition("/")[0] for key in keys()} == set(pipeline.acknowledged)


def followed_records() -> list[dict[str, Any]]:
    """Return the records of the stream that pass the filter of the function."""
    event_source = template.functions(template.read())["FollowImagesFunction"]["Events"]["ImageGone"]
    patterns = [json.loads(each["Pattern"]) for each in event_source["Properties"]["FilterCriteria"]["Filters"]]
    return [record for record in stream_records() if any(matches(pattern, record) for pattern in patterns)]


def stream_records() -> list[dict[str, Any]]:
    url = clients.dynamodb().meta.endpoint_url
    streams = boto3.client("dynamodbstreams", endpoint_url=url)
    # DynamoDB Local also keeps the streams of deleted tables with this name.
    stream = clients.dynamodb().describe_table(TableName=settings.table_name())["Table"]["LatestStreamArn"]
    shards = streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]
    found = []
    for shard in shards:
        iterator = streams.get_shard_iterator(
            StreamArn=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        found += streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    return [dict(record) for record in found]

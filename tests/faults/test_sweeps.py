"""The sweeper: every fault in each of its calls, and the stream of the table, which invokes it."""

import json
from contextlib import nullcontext
from typing import Any

import boto3
import pytest

from functions.follow_images import app
from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.storage import clients, table
from tests.faults.injection import ONCE, Call, Fault, KilledError, faults, only
from tests.faults.test_uploads import CONTENT
from tests.faults.world import World, keys
from tools import template
from tools.local_gateway import LocalContext


def sweep(event: dict[str, Any]) -> None:
    app.lambda_handler(event, LocalContext("FollowImagesFunction"))


def upload_and_be_killed(world: World) -> None:
    with faults(only(Call("TransactWriteItems", 0), Fault.KILLED_BEFORE)):
        assert world.upload(CONTENT, None) is None
    assert len(keys()) == 2


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.strikes("DeleteObjects")])
def test_a_sweep_that_fails_is_repeated_by_the_stream(world: World, fault: Fault) -> None:
    upload_and_be_killed(world)
    (event,) = world.expire()
    with faults(lambda _: None) as calls:
        sweep(event)
    assert calls
    for call in calls:
        upload_and_be_killed(world)
        (event,) = world.expire()
        # Lambda repeats a batch only if the function fails.
        fails = nullcontext() if fault in ONCE else pytest.raises((StorageError, KilledError))
        with faults(only(call, fault)) as made, fails:
            sweep(event)
        assert call in made
        if fault in ONCE:
            assert not keys()
        sweep(event)
        assert not keys()


@pytest.mark.parametrize("world", ["DynamoDB Local"], indirect=True)
def test_the_stream_reports_expired_images_and_the_filter_passes_them(world: World) -> None:
    upload_and_be_killed(world)
    world.upload(CONTENT, "a-key")
    assert len(list(world.expire())) == 1
    request = table.serialize({"pk": "REQUEST#a-key", "sk": "REQUEST"})
    clients.dynamodb().delete_item(TableName=settings.table_name(), Key=request)
    (event_source,) = template.functions(template.read())["FollowImagesFunction"]["Events"].values()
    (pattern,) = (filtered["Pattern"] for filtered in event_source["Properties"]["FilterCriteria"]["Filters"])
    events = [record for record in stream_records() if matches(json.loads(pattern), record)]
    assert len(events) == 1
    sweep({"Records": events})
    assert {key.partition("/")[0] for key in keys()} == set(world.acknowledged)


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


def matches(pattern: Any, value: Any) -> bool:
    """Return whether an event matches a pattern. Supports only lists of allowed values in nested objects."""
    if isinstance(pattern, list):
        return value in pattern
    return all(name in value and matches(part, value[name]) for name, part in pattern.items())

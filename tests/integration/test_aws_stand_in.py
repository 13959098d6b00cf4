"""Additions to moto in the stand-in for AWS, because a local API may run for days."""

import gc
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.dynamodb.models.table import Table

from image_pipeline import settings
from image_pipeline.storage import clients
from tools.local import server

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef


def test_transactions_leave_no_copies_of_the_table_in_memory() -> None:
    with server.run():
        write_images(0, 5)
        before = tables()
        write_images(5, 25)
        assert tables() <= before


def test_a_cancelled_transaction_leaves_no_event_and_readers_of_the_stream_get_all_later_ones() -> None:
    with server.run():
        write_images(0, 1)
        streams = boto3.client("dynamodbstreams")
        table = clients.dynamodb().describe_table(TableName=settings.table_name())["Table"]
        arn = table["LatestStreamArn"]
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        first = streams.get_records(ShardIterator=iterator)
        refused: TransactWriteItemTypeDef = {
            "ConditionCheck": {
                "Key": image(0),
                "TableName": settings.table_name(),
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }
        with pytest.raises(clients.dynamodb().exceptions.TransactionCanceledException):
            clients.dynamodb().transact_write_items(TransactItems=[put(1), refused])
        write_images(2, 4)
        later = streams.get_records(ShardIterator=first["NextShardIterator"])
        written = clients.dynamodb().scan(TableName=settings.table_name())["Items"]
    assert [record["dynamodb"]["Keys"] for record in first["Records"] + later["Records"]] == [
        image(0),
        image(2),
        image(3),
    ]
    assert [item for item in written if item["pk"]["S"].startswith("IMAGE#")] == [image(0), image(2), image(3)]


def write_images(first: int, last: int) -> None:
    for number in range(first, last):
        clients.dynamodb().transact_write_items(TransactItems=[put(number)])


def put(number: int) -> "TransactWriteItemTypeDef":
    return {"Put": {"TableName": settings.table_name(), "Item": image(number)}}


def image(number: int) -> dict[str, "AttributeValueTypeDef"]:
    return {"pk": {"S": f"IMAGE#{number}"}, "sk": {"S": "IMAGE"}}


def tables() -> int:
    gc.collect()
    return sum(isinstance(thing, Table) for thing in gc.get_objects())

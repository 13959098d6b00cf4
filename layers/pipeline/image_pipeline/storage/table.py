"""Reads and writes of the DynamoDB table. No other module calls DynamoDB."""

import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import settings
from image_pipeline.errors import RefusedError, StorageError
from image_pipeline.storage.clients import dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef, WriteRequestTypeDef

Item = dict[str, Any]

_TRIES = 8
# DynamoDB accepts at most this many writes in one BatchWriteItem.
_MAX_BATCH = 25
# Another transaction or too much traffic caused the cancellation, so a later try may succeed. botocore does not retry
# these.
_TRANSIENT_REASONS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


def connect() -> None:
    """Open the connection to DynamoDB, or leave that to the first request if DynamoDB does not respond.

    It takes 40 ms of CPU time, mostly to read the certificates of all authorities. With 128 MB these are 0.5 s.
    """
    with suppress(StorageError):
        find({"pk": "IMAGE#none", "sk": "none"})


def find(key: Item) -> Item | None:
    """Return the current item with this key, or None. Raises StorageError."""
    response = _call("get_item", TableName=settings.table_name(), Key=serialize(key), ConsistentRead=True)
    return deserialize(response["Item"]) if "Item" in response else None


def find_owned(key: Item, owner: str) -> Item | None:
    """Return the current item with this key if it has this `owner`, or None. Raises StorageError.

    DynamoDB compares the owners. So an item of somebody else takes as long as no item.
    """
    response = query(
        "pk = :pk AND sk = :sk",
        {":pk": key["pk"], ":sk": key["sk"], ":owner": owner},
        FilterExpression="#owner = :owner",
        ExpressionAttributeNames={"#owner": "owner"},
        ConsistentRead=True,
    )
    return deserialize(response["Items"][0]) if response["Items"] else None


def find_all(keys: Sequence[Item]) -> list[Item]:
    """Return the current items with these keys, in any order. Some keys may have no item. Raises StorageError."""
    found: list[Item] = []
    wanted = {settings.table_name(): {"Keys": [serialize(key) for key in keys], "ConsistentRead": True}}
    for tries in range(1, _TRIES + 1):
        response = _call("batch_get_item", RequestItems=wanted)
        found += [deserialize(item) for items in response["Responses"].values() for item in items]
        # DynamoDB returns throttled keys as unprocessed.
        wanted = response["UnprocessedKeys"]
        if not wanted:
            return found
        _pause(tries)
    raise StorageError


def write_batch(items: Sequence[Item], deleted: Sequence[Item] = ()) -> None:
    """Put items and delete those with the keys `deleted`, each on its own. May be repeated. Raises StorageError."""
    requests: list[WriteRequestTypeDef] = [{"PutRequest": {"Item": serialize(item)}} for item in items]
    requests += [{"DeleteRequest": {"Key": serialize(key)}} for key in deleted]
    for start in range(0, len(requests), _MAX_BATCH):
        wanted: Mapping[str, Any] = {settings.table_name(): requests[start : start + _MAX_BATCH]}
        for tries in range(1, _TRIES + 1):
            # DynamoDB returns throttled writes as unprocessed.
            wanted = _call("batch_write_item", RequestItems=wanted)["UnprocessedItems"]
            if not wanted:
                break
            _pause(tries)
        else:
            raise StorageError


def query(condition: str, values: Item, **arguments: Any) -> Any:  # noqa: ANN401 - arguments and results of boto3
    """Return the response of a query. Raises StorageError."""
    return _call(
        "query",
        TableName=settings.table_name(),
        KeyConditionExpression=condition,
        ExpressionAttributeValues=serialize(values),
        **arguments,
    )


def put(item: Item, **condition: Any) -> Item | None:  # noqa: ANN401 - arguments of boto3
    """Put an item if the condition holds. Return None, or the stored item that made the condition fail.

    `item` must differ from every other item with this key, for example by the id of the attempt. Raises StorageError
    if it is not known whether the item was stored.
    """
    try:
        dynamodb().put_item(
            TableName=settings.table_name(),
            Item=serialize(item),
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **condition,
        )
    except (ClientError, BotoCoreError) as error:
        refusing = _refusing_item(error)
        # If only the reply was lost, the item is stored. A retry by botocore then fails because of this very item.
        stored = refusing or find(key_of(item))
        if stored == item:
            return None
        if refusing is None:
            raise _failure(error) from error
        return refusing
    return None


def update(key: Item, expression: str, **condition: Any) -> Item | None:  # noqa: ANN401 - arguments of boto3
    """Update an item if the condition holds. Return the updated item, or the stored one that made the condition fail.

    Return None if there is no item. botocore may send the update twice. So the condition may fail because of the update
    itself. Raises StorageError.
    """
    try:
        response = dynamodb().update_item(
            TableName=settings.table_name(),
            Key=serialize(key),
            UpdateExpression=expression,
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **condition,
        )
    except dynamodb().exceptions.ConditionalCheckFailedException as error:
        return _refusing_item(error)
    except (ClientError, BotoCoreError) as error:
        raise _failure(error) from error
    return deserialize(response["Attributes"])


def write(items: Sequence["TransactWriteItemTypeDef"], is_stored: Callable[[], bool]) -> None:
    """Apply all writes in one transaction, or none. Raises StorageError unless they are known to be applied.

    `is_stored` reads from the table whether they are applied. It is called when the reply is lost.
    """
    # DynamoDB applies a transaction once per token, so retries by botocore are safe.
    token = str(uuid4())
    for tries in range(1, _TRIES + 1):
        try:
            dynamodb().transact_write_items(TransactItems=items, ClientRequestToken=token)
        except (ClientError, BotoCoreError) as error:
            if _is_transient(error) and tries < _TRIES:
                _pause(tries)
            elif is_stored():
                return
            else:
                raise _failure(error) from error
        else:
            return


def key_of(item: Item) -> Item:
    """Return the key of an item."""
    return {"pk": item["pk"], "sk": item["sk"]}


def is_expired(item: Item) -> bool:
    """Tell whether an item is to be removed. DynamoDB does it some days later."""
    return bool(item.get("expires_at", math.inf) <= time.time())


def serialize(attributes: Mapping[str, Any]) -> Item:
    """Return attributes in the notation of DynamoDB, such as {"S": "text"}."""
    return {name: _serializer().serialize(value) for name, value in attributes.items()}


def deserialize(item: Mapping[str, Any]) -> Item:
    """Return attributes that are in the notation of DynamoDB. Numbers become Decimals."""
    return {name: _deserializer().deserialize(value) for name, value in item.items()}


def _call(operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - arguments and results of boto3
    try:
        return getattr(dynamodb(), operation)(**arguments)
    except (ClientError, BotoCoreError) as error:
        raise _failure(error) from error


def _failure(error: ClientError | BotoCoreError) -> StorageError:
    """Return what an error of DynamoDB means. It refuses an invalid request each time."""
    is_invalid = isinstance(error, ClientError) and (
        error.response.get("Error", {}).get("Code") == "ValidationException" or "ValidationError" in _reasons(error)
    )
    return RefusedError() if is_invalid else StorageError()


def _reasons(error: ClientError) -> set[str]:
    """Return why a transaction was cancelled."""
    return {reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])} - {"None"}


def _refusing_item(error: ClientError | BotoCoreError) -> Item | None:
    """Return the stored item that made the condition of a write fail, or None for other errors."""
    response: Mapping[str, Any] = error.response if isinstance(error, ClientError) else {}
    return deserialize(response["Item"]) if "Item" in response else None


def _is_transient(error: ClientError | BotoCoreError) -> bool:
    """Tell whether a transaction was cancelled only for transient reasons."""
    codes = _reasons(error) if isinstance(error, ClientError) else set()
    return bool(codes) and codes <= _TRANSIENT_REASONS


def _pause(tries: int) -> None:
    # The pause is random, so that two transactions in conflict do not meet again.
    time.sleep(secrets.SystemRandom().uniform(0, 0.02 * 2**tries))


@cache
def _serializer() -> TypeSerializer:
    return TypeSerializer()


@cache
def _deserializer() -> TypeDeserializer:
    return TypeDeserializer()

"""The DynamoDB table: the only module that talks to it."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import settings
from image_pipeline.clients import dynamodb
from image_pipeline.errors import StorageError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

Item = dict[str, Any]

_TRIES = 8
# Another transaction or too much traffic is in the way, but only for the moment. botocore does not try these again.
_TRANSIENT_REASONS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


def find(key: Item) -> Item | None:
    """Return the item as it is now, or None. Raises StorageError."""
    response = _call("get_item", TableName=settings.table_name(), Key=serialize(key), ConsistentRead=True)
    return deserialize(response["Item"]) if "Item" in response else None


def find_all(keys: Sequence[Item]) -> list[Item]:
    """Return those of the items that exist, as they are now, in any order. Raises StorageError."""
    found: list[Item] = []
    wanted = {settings.table_name(): {"Keys": [serialize(key) for key in keys], "ConsistentRead": True}}
    for tries in range(1, _TRIES + 1):
        response = _call("batch_get_item", RequestItems=wanted)
        found += [deserialize(item) for items in response["Responses"].values() for item in items]
        # DynamoDB leaves keys out of its answer when they are throttled.
        wanted = response["UnprocessedKeys"]
        if not wanted:
            return found
        _pause(tries)
    raise StorageError


def query(condition: str, values: Item, **arguments: Any) -> Any:  # noqa: ANN401 - boto3's own arguments and answers
    """Return DynamoDB's answer to a query. Raises StorageError."""
    return _call(
        "query",
        TableName=settings.table_name(),
        KeyConditionExpression=condition,
        ExpressionAttributeValues=serialize(values),
        **arguments,
    )


def put(item: Item, **condition: Any) -> Item | None:  # noqa: ANN401 - boto3's own arguments
    """Put an item under a condition. Return None once it is stored, or the item with its key that fails the condition.

    `item` must differ from what others store under its key; an id of the attempt ensures that. Raises StorageError when
    neither is known.
    """
    try:
        dynamodb().put_item(
            TableName=settings.table_name(),
            Item=serialize(item),
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **condition,
        )
    except (ClientError, BotoCoreError) as error:
        in_the_way = _in_the_way(error)
        # Without a reply, the put may be applied. botocore then tries again, and DynamoDB refuses because of this item.
        stored = in_the_way or find({name: item[name] for name in ("pk", "sk")})
        if stored == item:
            return None
        if in_the_way is None:
            raise StorageError from error
        return in_the_way
    return None


def write(items: Sequence["TransactWriteItemTypeDef"], is_stored: Callable[[], bool]) -> None:
    """Apply all `items` or none. Raises StorageError when they are not known to be applied.

    `is_stored` tells whether they are applied, for a reply that is lost.
    """
    # DynamoDB applies the same token once, so botocore's own tries do no harm.
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
                raise StorageError from error
        else:
            return


def serialize(attributes: Mapping[str, Any]) -> Item:
    """Return attributes in DynamoDB's notation, such as {"S": "text"}."""
    return {name: _serializer().serialize(value) for name, value in attributes.items()}


def deserialize(item: Mapping[str, Any]) -> Item:
    """Return the attributes of an item in DynamoDB's notation; numbers become Decimals."""
    return {name: _deserializer().deserialize(value) for name, value in item.items()}


def _call(operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - boto3's own arguments and answers
    try:
        return getattr(dynamodb(), operation)(**arguments)
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error


def _in_the_way(error: ClientError | BotoCoreError) -> Item | None:
    """Return the item that fails a put's condition; None if that is not the error."""
    response: Mapping[str, Any] = error.response if isinstance(error, ClientError) else {}
    return deserialize(response["Item"]) if "Item" in response else None


def _is_transient(error: ClientError | BotoCoreError) -> bool:
    """Tell whether a transaction was cancelled for reasons that pass, and for no other reason."""
    reasons = error.response.get("CancellationReasons", []) if isinstance(error, ClientError) else []
    codes = {reason.get("Code", "None") for reason in reasons} - {"None"}
    return bool(codes) and codes <= _TRANSIENT_REASONS


def _pause(tries: int) -> None:
    # Random, so that clients that were refused together do not come back together.
    time.sleep(random.uniform(0, 0.02 * 2**tries))  # noqa: S311


@cache
def _serializer() -> TypeSerializer:
    return TypeSerializer()


@cache
def _deserializer() -> TypeDeserializer:
    return TypeDeserializer()

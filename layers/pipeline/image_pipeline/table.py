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

_TRANSACTION_TRIES = 8


def find(key: Item) -> Item | None:
    """Return the item as it is now, or None. Raises StorageError."""
    response = _call("get_item", Key=serialize(key), ConsistentRead=True)
    return deserialize(response["Item"]) if "Item" in response else None


def query(condition: str, values: Item, **arguments: Any) -> Any:  # noqa: ANN401 - boto3's own arguments and answers
    """Return DynamoDB's answer to a query. Raises StorageError."""
    return _call("query", KeyConditionExpression=condition, ExpressionAttributeValues=serialize(values), **arguments)


def put(item: Item, is_stored: Callable[[], bool], **condition: Any) -> bool:  # noqa: ANN401 - boto3's own arguments
    """Put an item under a condition; return whether it holds. Raises StorageError.

    `is_stored` tells whether the item is there, for when no answer tells it: the reply may be lost and the put applied.
    """
    try:
        dynamodb().put_item(TableName=settings.table_name(), Item=serialize(item), **condition)
    except (ClientError, BotoCoreError) as error:
        # botocore tries again after a lost reply, and the second try then meets the first one's item.
        if is_stored():
            return True
        if _code(error) == "ConditionalCheckFailedException":
            return False
        raise StorageError from error
    return True


def write(items: Sequence["TransactWriteItemTypeDef"], is_stored: Callable[[], bool]) -> None:
    """Apply all `items` or none. Raises StorageError when they are not known to be applied.

    `is_stored` tells whether they are, as for `put`.
    """
    # Makes botocore's own tries harmless: DynamoDB applies a token once.
    token = str(uuid4())
    for tries in range(1, _TRANSACTION_TRIES + 1):
        try:
            dynamodb().transact_write_items(TransactItems=items, ClientRequestToken=token)
        except (ClientError, BotoCoreError) as error:
            if is_stored():
                return
            if not _is_conflict(error) or tries == _TRANSACTION_TRIES:
                raise StorageError from error
            time.sleep(random.uniform(0, 0.02 * 2**tries))  # noqa: S311
        else:
            return


def serialize(attributes: Mapping[str, Any]) -> Item:
    """Return attributes in DynamoDB's own notation."""
    return {name: _serializer().serialize(value) for name, value in attributes.items()}


def deserialize(item: Mapping[str, Any]) -> Item:
    """Return what DynamoDB's own notation means; numbers are Decimals."""
    return {name: _deserializer().deserialize(value) for name, value in item.items()}


def _call(operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - boto3's own arguments and answers
    try:
        return getattr(dynamodb(), operation)(TableName=settings.table_name(), **arguments)
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error


def _code(error: ClientError | BotoCoreError) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def _is_conflict(error: ClientError | BotoCoreError) -> bool:
    """Tell whether a transaction lost against another one on the same statistics shard."""
    reasons = error.response.get("CancellationReasons", []) if isinstance(error, ClientError) else []
    return any(reason.get("Code") == "TransactionConflict" for reason in reasons)


@cache
def _serializer() -> TypeSerializer:
    return TypeSerializer()


@cache
def _deserializer() -> TypeDeserializer:
    return TypeDeserializer()

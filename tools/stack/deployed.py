"""A deployed stack, for the commands that work on one.

These clients are patient. Those of the functions give up soon, because a client of the API waits.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from botocore.config import Config
from botocore.exceptions import HTTPClientError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from image_pipeline import settings
from image_pipeline.errors import RefusedError, StorageError
from image_pipeline.storage import clients, keys, table
from tools.stack import refusals

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef
    from mypy_boto3_sqs import SQSClient

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREADS = 64
_PATIENT = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 8},
    max_pool_connections=MAX_THREADS,
)
# S3 responds when the copy is complete.
_COPIES = _PATIENT.merge(Config(read_timeout=300))
_TRIES = 4
_MAX_PAUSE_SECONDS = 10


@cache
def cloudformation() -> "CloudFormationClient":
    """Return the client for CloudFormation."""
    return _checked(clients.session().client("cloudformation", config=_PATIENT))


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the client for reading the whole table."""
    return _checked(clients.session().client("dynamodb", config=_PATIENT))


@cache
def s3() -> "S3Client":
    """Return the client for S3."""
    return _checked(clients.session().client("s3", config=_PATIENT))


@cache
def s3_for_copies() -> "S3Client":
    """Return the client for calls to S3 that copy an object."""
    return _checked(clients.session().client("s3", config=_COPIES))


@cache
def sqs() -> "SQSClient":
    """Return the client for SQS."""
    return _checked(clients.session().client("sqs", config=_PATIENT))


@cache
def streams() -> "DynamoDBStreamsClient":
    """Return the client for the streams of DynamoDB."""
    return _checked(clients.session().client("dynamodbstreams", config=_PATIENT))


_GETTERS: tuple[Callable[[], Any], ...] = (cloudformation, dynamodb, s3, s3_for_copies, sqs, streams)


def connect() -> None:
    """Make all clients. boto3 cannot make clients in several threads at once."""
    for getter in _GETTERS:
        getter()
    _checked(clients.dynamodb())
    _checked(clients.s3())


def forget_clients() -> None:
    """Forget the clients, because the next ones get another environment."""
    for getter in _GETTERS:
        getter.cache_clear()  # type: ignore[attr-defined] # of functools.cache


def patiently(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of a call that may be repeated. Repeats it after errors that can be transient."""
    retrying = Retrying(
        retry=retry_if_exception(_is_transient),
        stop=stop_after_attempt(_TRIES),
        wait=wait_random_exponential(max=_MAX_PAUSE_SECONDS),
        reraise=True,
    )
    return retrying(call, *args, **kwargs)


def use(name: str) -> dict[str, str]:
    """Return the outputs of a stack, and let the functions' code work on its table and buckets."""
    values = outputs(name)
    variables = {"TABLE_NAME": "TableName", "BUCKET_NAME": "BucketName", "UPLOADS_BUCKET": "UploadsBucketName"}
    if missing := {*variables.values(), "UploadsQueueUrl"} - values.keys():
        raise refusals.RefusedAccessError(f"the stack {name} has no output {min(missing)}. Check STACK")
    os.environ |= {variable: values[output] for variable, output in variables.items()}
    # Stacks of older versions lack these parameters.
    described = {"Duplicates": "keep", "OwnerMaxImages": "0", "OwnerDailyUploads": "0"} | parameters(name)
    os.environ |= {
        "DUPLICATES": described["Duplicates"],
        "OWNER_MAX_IMAGES": described["OwnerMaxImages"],
        "OWNER_DAILY_UPLOADS": described["OwnerDailyUploads"],
    }
    return values


def outputs(name: str) -> dict[str, str]:
    """Return the outputs of a stack, by name. Raises ClientError if there is no such stack."""
    return {output["OutputKey"]: output["OutputValue"] for output in _described(name).get("Outputs", [])}


def parameters(name: str) -> dict[str, str]:
    """Return the parameters of a stack, by name. Raises ClientError if there is no such stack."""
    return {found["ParameterKey"]: found["ParameterValue"] for found in _described(name).get("Parameters", [])}


def resource(name: str, logical_id: str) -> str:
    """Return the physical id of a resource of a stack. That of a queue is its URL."""
    described = cloudformation().describe_stack_resource(StackName=name, LogicalResourceId=logical_id)
    return described["StackResourceDetail"]["PhysicalResourceId"]


def images() -> Iterator[table.Item]:
    """Yield `pk`, and `caption_model` if there is one, of the items of all finished images. TABLE_NAME must be set.

    No item is parsed, so an unreadable one does not hide the others.
    """
    # The index has the finished images of all owners, and nothing else.
    return items(IndexName="listing", ProjectionExpression="pk, caption_model")


def vocabulary() -> Iterator[table.Item]:
    """Yield the keys of the terms of the vocabulary. Its partitions are not known, so this reads the whole table."""
    return items(
        FilterExpression="begins_with(pk, :words)",
        ExpressionAttributeValues=table.serialize({":words": keys.WORDS}),
        ProjectionExpression="pk, sk",
    )


def places() -> Iterator[table.Item]:
    """Yield the keys of the items that say for which owner an image is counted. It reads the whole table."""
    values = table.serialize({":place": keys.place("")["sk"]})
    return items(FilterExpression="sk = :place", ExpressionAttributeValues=values, ProjectionExpression="pk, sk")


def owned(owner: str) -> Iterator[table.Item]:
    """Yield all items of an owner, with what identifies them. It reads the whole table. TABLE_NAME must be set."""
    names = {"#owner": "owner", "#status": "status"}
    found = items(ConsistentRead=True, ProjectionExpression="pk, sk, #owner, #status", ExpressionAttributeNames=names)
    return (item for item in found if keys.owner(item) == owner)


def owned_images(owner: str) -> Iterator[table.Item]:
    """Yield the image items of an owner, in any state. It reads the whole table. TABLE_NAME must be set."""
    values = table.serialize({":image": keys.image("")["sk"]})
    found = items(ConsistentRead=True, FilterExpression="sk = :image", ExpressionAttributeValues=values)
    return (item for item in found if keys.owner(item) == owner)


def items(**arguments: Any) -> Iterator[table.Item]:  # noqa: ANN401 - of boto3
    """Yield the items of a scan. TABLE_NAME must be set."""
    for page in dynamodb().get_paginator("scan").paginate(TableName=settings.table_name(), **arguments):
        yield from map(table.deserialize, page["Items"])


def objects(bucket: str, prefix: str = "", **arguments: Any) -> "Iterator[ObjectTypeDef]":  # noqa: ANN401 - of boto3
    """Yield the objects of a bucket, as boto3 lists them."""
    for page in s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **arguments):
        yield from page.get("Contents", [])


def _described(name: str) -> Any:  # noqa: ANN401 - as boto3 describes a stack
    try:
        (described,) = cloudformation().describe_stacks(StackName=name)["Stacks"]
    except KeyError as error:
        # botocore expects this key if the response is XML.
        raise refusals.NotAwsError(f"it lacks {error}") from error
    return described


def _is_transient(error: BaseException) -> bool:
    is_transient = isinstance(error, (StorageError, HTTPClientError)) and not isinstance(error, RefusedError)
    return is_transient and not refusals.advice(error) and not refusals.is_denied(error)


def _checked(client: T) -> T:
    """Let the calls of a client raise NotAwsError for a response without the request id that AWS always sends."""
    events = client.meta.events  # type: ignore[attr-defined] # all clients have it
    events.register("after-call", _require_request_id, unique_id="request-id")
    return client


def _require_request_id(http_response: Any, parsed: Mapping[str, Any], **_: object) -> None:  # noqa: ANN401 - of botocore
    if http_response.status_code < 300 and not parsed.get("ResponseMetadata", {}).get("RequestId"):
        # Nobody reads the body of a file.
        http_response.raw.close()
        raise refusals.NotAwsError("it has no request id")

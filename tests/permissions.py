"""Compares what functions ask of AWS with what their roles allow.

`recording` notes each call that botocore makes while `call` runs a handler. `refused` and `unused` compare these
accesses with the statements of the roles, as SAM makes them of template.yaml.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.transformed import as_list, core, of_type
from tools import template
from tools.local.gateway import LocalContext
from tools.template import Template

_VERSION = "AWS::Lambda::Version"
_KEYS = "dynamodb:LeadingKeys"
StandIns = Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]

# The function whose handler runs. Threads of image_pipeline.threads have it too.
_running: ContextVar[str | None] = ContextVar("_running", default=None)


@dataclass(frozen=True)
class Access:
    """One action on one resource, such as s3:GetObject on ThumbnailsBucket/<key>.

    `key` is the partition key of DynamoDB, "" elsewhere. `resource` is "*" if the call does not name it.
    """

    function: str
    action: str
    resource: str
    key: str = ""


@dataclass(frozen=True)
class Statement:
    """What a statement of a role allows. `keys` are the patterns of partition keys, if it limits them.

    `needs_key` says that the statement does not allow calls without a partition key, such as Scan.
    """

    role: str
    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    keys: tuple[str, ...]
    needs_key: bool = False

    def allows(self, access: Access) -> bool:
        return (
            access.action in self.actions
            and (access.resource == "*" or any(fnmatchcase(access.resource, pattern) for pattern in self.resources))
            and (not self.keys or self._allows_key(access.key))
        )

    def _allows_key(self, key: str) -> bool:
        # ForAllValues holds if there is no value.
        return any(fnmatchcase(key, pattern) for pattern in self.keys) if key else not self.needs_key


def roles(described: Template) -> dict[str, str]:
    return {
        name: resource["Properties"]["Role"]["Fn::GetAtt"][0]
        for name, resource in described["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function"
    }


def statements(described: Template, role: str) -> Iterator[Statement]:
    """Yield the statements of a role, also those that depend on conditions."""
    for statement in _find_statements(described["Resources"][role]["Properties"]["Policies"]):
        condition = statement.get("Condition", {})
        yield Statement(
            role,
            statement.get("Sid", ""),
            tuple(as_list(statement["Action"])),
            tuple(map(_pattern, as_list(statement["Resource"]))),
            tuple(condition.get("ForAllValues:StringLike", {}).get(_KEYS, ())),
            condition.get("Null", {}).get(_KEYS) == "false",
        )


def _find_statements(value: object) -> Iterator[dict[str, Any]]:
    match value:
        case dict() if value.get("Effect") == "Allow":
            yield value
        case dict():
            for part in value.values():
                yield from _find_statements(part)
        case list():
            for part in value:
                yield from _find_statements(part)


def _pattern(resource: object) -> str:
    """Return a resource of a statement with the logical id instead of the ARN, such as UploadsBucket/uploads/*."""
    match resource:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), "Arn"]}:
            return _resource(name)
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(\w+)(\.Arn)?\}", r"\1", text)
    return str(resource)


@dataclass
class Record:
    """The accesses that functions made. `names` maps the names of buckets, tables and queues to their logical ids."""

    names: Mapping[str, str]
    accesses: set[Access] = field(default_factory=set)

    def of_the_stack(self) -> set[Access]:
        """Return the accesses to resources of the stack. Some tests give functions names that do not exist."""
        return {access for access in self.accesses if access.resource.partition("/")[0] in self.names.values()}

    def add(self, function: str, service: str, operation: str, arguments: Mapping[str, Any]) -> None:
        for action, resource, key in accesses(service, operation, arguments):
            name, slash, path = resource.partition("/") if service != "sqs" else (resource, "", "")
            self.accesses.add(Access(function, action, self.names.get(name, name) + slash + path, key))


def call(function: str, event: Mapping[str, Any], seconds: float = 120) -> Any:
    """Call the handler of a function, as Lambda does."""
    with _runs(function):
        return template.handler(_properties()[function])(event, LocalContext(function, seconds=seconds))


@contextmanager
def not_recording() -> Iterator[None]:
    """Do not count what happens until the block ends: something else does it while a function runs."""
    with _runs(None):
        yield


@contextmanager
def _runs(function: str | None) -> Iterator[None]:
    token = _running.set(function)
    try:
        yield
    finally:
        _running.reset(token)


@contextmanager
def recording(stand_ins: StandIns | None = None) -> Iterator[Record]:
    """Record what functions do until the block ends. `stand_ins` replace services, by name."""
    record = Record({os.environ[name]: resource for name, resource in _variables().items() if name in os.environ})
    send: Callable[..., Any] = vars(BaseClient)["_make_api_call"]

    def recorded(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        function, service = _running.get(), client.meta.service_model.service_name
        if function is None:
            return send(client, operation, arguments)
        record.add(function, service, operation, arguments)
        if stand_ins is not None and service in stand_ins:
            return stand_ins[service](arguments)
        try:
            return send(client, operation, arguments)
        except ClientError as error:
            # S3 says that an object is missing only to those who may list the bucket. Others get 403.
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                record.add(function, service, "ListObjectsV2", arguments)
            raise

    with pytest.MonkeyPatch.context() as patch:
        # All calls go through it.
        patch.setattr(BaseClient, "_make_api_call", recorded)
        yield record


@contextmanager
def watching(patch: pytest.MonkeyPatch) -> Iterator[Record]:
    """Record what functions do until the block ends, even if a test calls their handlers itself.

    `patch` is the fixture of the test. So the changes that a test makes to a handler are undone first.
    """
    with recording() as record:
        for function in _properties():
            if module := sys.modules.get(f"functions.{folder(function)}.app"):
                patch.setattr(module, "lambda_handler", _watched(function, module.lambda_handler))
        yield record


def _watched(function: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        with _runs(function):
            return handler(*arguments)

    return call


def folder(function: str) -> str:
    """Return the folder of a function: get_image of GetImageFunction."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", function.removesuffix("Function")).lower()


@cache
def _properties() -> dict[str, dict[str, Any]]:
    return template.functions(template.raw())


@cache
def _variables() -> dict[str, str]:
    """Return the variables that contain the name, URL or ARN of a resource, and the resource."""
    return {
        name: _resource(value["Ref"])
        for function in of_type(core()["Resources"], "AWS::Lambda::Function").values()
        for name, value in function["Properties"]["Environment"]["Variables"].items()
        if isinstance(value, dict) and value.get("Ref") in core()["Resources"]
    }


def _resource(name: str) -> str:
    """Return how statements name a resource. SAM gives versions of functions names with a digest."""
    resource = core()["Resources"].get(name, {"Type": ""})
    return f"{resource['Properties']['FunctionName']['Ref']}:version" if resource["Type"] == _VERSION else name


def accesses(service: str, operation: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the action, the resource and the partition key of each permission that a call needs."""
    match service:
        case "dynamodb":
            for action, resource, key in _accesses_of_items(operation, arguments):
                yield f"dynamodb:{action}", resource, key
        case "s3":
            for action, resource in _accesses_of_objects(operation, arguments):
                yield f"s3:{action}", resource, ""
        case "sqs":
            yield f"sqs:{operation}", arguments["QueueUrl"], ""
        case "lambda" if operation == "Invoke":
            # This is the ARN of a version. In the tests, the name of the function is its logical id.
            *_, name, number = arguments["FunctionName"].split(":")
            assert number.isdecimal()
            yield "lambda:InvokeFunction", f"{name}:version", ""
        case _:
            yield f"{service}:{operation}", "*", ""


def _accesses_of_items(operation: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    match operation:
        case "BatchGetItem":
            for table, wanted in arguments["RequestItems"].items():
                for key in wanted["Keys"]:
                    yield operation, table, key["pk"]["S"]
        case "BatchWriteItem":
            for table, requests in arguments["RequestItems"].items():
                for request in requests:
                    ((_, written),) = request.items()
                    yield operation, table, _partition_key(written)
        case "TransactWriteItems" | "TransactGetItems":
            for element in arguments["TransactItems"]:
                ((kind, written),) = element.items()
                action = "ConditionCheckItem" if kind == "ConditionCheck" else f"{kind}Item"
                yield action, written["TableName"], _partition_key(written)
        case "Query":
            index = f"/index/{arguments['IndexName']}" if "IndexName" in arguments else ""
            matched = re.match(r"\w+ = (:\w+)", arguments["KeyConditionExpression"])
            assert matched
            yield operation, arguments["TableName"] + index, arguments["ExpressionAttributeValues"][matched[1]]["S"]
        case _:
            yield operation, arguments["TableName"], _partition_key(arguments)


def _partition_key(arguments: Mapping[str, Any]) -> str:
    key: str = (arguments.get("Item") or arguments["Key"])["pk"]["S"]
    return key


def _accesses_of_objects(operation: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    bucket = arguments["Bucket"]
    match operation:
        case "ListObjectsV2" | "HeadBucket":
            yield "ListBucket", bucket
        case "DeleteObjects":
            for deleted in arguments["Delete"]["Objects"]:
                yield "DeleteObject", f"{bucket}/{deleted['Key']}"
        case "HeadObject":
            yield "GetObject", f"{bucket}/{arguments['Key']}"
        case "CopyObject":
            source = arguments["CopySource"]
            yield "GetObject", f"{source['Bucket']}/{source['Key']}"
            yield "PutObject", f"{bucket}/{arguments['Key']}"
        case _:
            yield operation, f"{bucket}/{arguments['Key']}"


def refused(described: Template, done: Iterable[Access]) -> set[str]:
    """Return what functions do and their roles do not allow. Ids in keys are left out."""
    found = set()
    for access in done:
        role = roles(described)[access.function]
        if not any(statement.allows(access) for statement in statements(described, role)):
            found.add(
                f"{role}: {access.action} {access.resource.partition('/')[0]} {access.key.partition('#')[0]}".strip()
            )
    return found


def unused(described: Template, done: Iterable[Access]) -> set[tuple[str, str, str]]:
    """Return what roles of functions allow and no function does: the role, the action, and the resource or the key."""
    done = list(done)
    found = set()
    for function, role in roles(described).items():
        ours = [access for access in done if access.function == function]
        for statement in statements(described, role):
            for action in statement.actions:
                for pattern in statement.resources:
                    alone = replace(statement, actions=(action,), resources=(pattern,))
                    if not any(alone.allows(access) for access in ours):
                        found.add((role, action, pattern))
            for key in statement.keys:
                alone = replace(statement, keys=(key,))
                if not any(alone.allows(access) for access in ours):
                    found.add((role, _KEYS, key))
    return found

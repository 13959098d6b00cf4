"""Injects faults into calls to AWS, inside botocore and below its retries. Works with every stand-in for AWS."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from typing import Any
from unittest.mock import patch

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from image_pipeline.storage import clients

# The result of a request in botocore: the HTTP response with its parsed body, or the error.
Received = tuple[Any, Exception | None]


class KilledError(BaseException):
    """Simulates the end of the process. No code of a function catches it."""


class Fault(StrEnum):
    """What goes wrong with a call.

    A fault with "once" in its name happens only at the first try. botocore or the function then tries again.
    """

    NEVER_SENT = "never sent"
    TIMEOUT = "timeout, not applied"
    REPLY_LOST_ONCE = "applied, reply lost once"
    REPLY_LOST = "applied, reply lost"
    THROTTLED_ONCE = "throttled once"
    THROTTLED = "throttled"
    ERROR_ONCE = "500 once"
    ERROR = "500"
    CONFLICT_ONCE = "cancelled once: TransactionConflict"
    CONFLICT = "cancelled: TransactionConflict"
    THROTTLED_WRITE_ONCE = "cancelled once: ThrottlingError"
    THROTTLED_WRITE = "cancelled: ThrottlingError"
    NO_CAPACITY_ONCE = "cancelled once: ProvisionedThroughputExceeded"
    NO_CAPACITY = "cancelled: ProvisionedThroughputExceeded"
    UNPROCESSED_ONCE = "keys left unprocessed once"
    UNPROCESSED = "keys left unprocessed"
    KILLED_BEFORE = "process killed before"
    KILLED_AFTER = "process killed after"

    def strikes(self, operation: str) -> bool:
        """Return whether the fault can happen to a call of this operation."""
        if self.startswith("cancelled"):
            return operation == "TransactWriteItems"
        if self.startswith("keys"):
            return operation == "BatchGetItem"
        return True


ONCE = {fault for fault in Fault if "once" in fault}


@dataclass(frozen=True)
class Call:
    """The `number`-th call (from 0) of an AWS operation."""

    operation: str
    number: int

    def __str__(self) -> str:
        return f"{self.operation} {self.number + 1}"


@contextmanager
def faults(plan: Callable[[Call], Fault | None]) -> Iterator[list[Call]]:
    """Inject into each call the fault that `plan` returns for it.

    Yields a list of the calls. Each call is added when it is made.
    """
    made: list[Call] = []
    tries: Counter[Call] = Counter()
    numbers: Counter[str] = Counter()
    repeatable: dict[Any, Call] = {}
    lock = threading.Lock()

    def call_of(operation: str, request: dict[str, Any]) -> Call:
        """Return the call of a request. A repeated request belongs to the same call as the first request."""
        identity = _identity(operation, request)
        with lock:
            if identity in repeatable:
                return repeatable[identity]
            call = Call(operation, numbers[operation])
            numbers[operation] += 1
            made.append(call)
            if identity is not None:
                repeatable[identity] = call
            return call

    def injected(client: Any) -> Any:
        endpoint = client._endpoint  # noqa: SLF001 - the events of botocore come too early to lose a reply
        send, get = endpoint._send_request, endpoint._do_get_response  # noqa: SLF001
        current = threading.local()

        def send_request(request_dict: dict[str, Any], operation_model: Any) -> Any:
            current.call = call_of(operation_model.name, request_dict)
            return send(request_dict, operation_model)

        def do_get_response(request: Any, operation_model: Any, context: Any) -> Received:
            tries[current.call] += 1
            fault = plan(current.call)
            if fault is None or not fault.strikes(operation_model.name) or (fault in ONCE and tries[current.call] > 1):
                received: Received = get(request, operation_model, context)
                return received
            return _suffer(fault, request, lambda: get(request, operation_model, context))

        return patch.multiple(endpoint, _send_request=send_request, _do_get_response=do_get_response)

    with (
        injected(clients.dynamodb()),
        injected(clients.s3()),
        injected(clients.sqs()),
        patch("botocore.endpoint.time.sleep", lambda _: None),  # no pauses in botocore and in table.py
    ):
        yield made


def only(call: Call, fault: Fault) -> Callable[[Call], Fault | None]:
    """Return a plan with a fault in one call and no fault in the others."""
    return lambda made: fault if made == call else None


def _identity(operation: str, request: dict[str, Any]) -> Any:
    """Return a value that is the same in all repetitions of a request. Return None if functions never repeat it."""
    match operation:
        case "TransactWriteItems":
            return json.loads(request["body"])["ClientRequestToken"]
        case "BatchGetItem":
            return operation
    return None


def _suffer(fault: Fault, request: Any, apply: Callable[[], Received]) -> Received:
    match fault:
        case Fault.NEVER_SENT | Fault.TIMEOUT:
            timeout = ConnectTimeoutError if fault == Fault.NEVER_SENT else ReadTimeoutError
            return None, timeout(endpoint_url=request.url)
        case Fault.REPLY_LOST | Fault.REPLY_LOST_ONCE:
            apply()
            return None, ReadTimeoutError(endpoint_url=request.url)
        case Fault.THROTTLED | Fault.THROTTLED_ONCE:
            return _error(request.url, 400, "ThrottlingException")
        case Fault.ERROR | Fault.ERROR_ONCE:
            return _error(request.url, 500, "InternalServerError")
        case Fault.UNPROCESSED | Fault.UNPROCESSED_ONCE:
            return _unprocessed(request, apply())
        case Fault.KILLED_BEFORE:
            raise KilledError
        case Fault.KILLED_AFTER:
            apply()
            raise KilledError
        case cancelled:
            reasons = [{"Code": "None"}, {"Code": cancelled.rpartition(" ")[2]}]
            return _error(request.url, 400, "TransactionCanceledException", CancellationReasons=reasons)


class Body(BytesIO):
    """A response body with the interface of urllib3."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def _error(url: str, status: int, code: str, **details: Any) -> Received:
    parsed = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}, **details}
    return (AWSResponse(url, status, HTTPHeaders(), Body()), parsed), None


def _unprocessed(request: Any, received: Received) -> Received:
    """Remove all items from a response of BatchGetItem, and report their keys as unprocessed."""
    (response, parsed), error = received
    ((name, wanted),) = json.loads(request.body)["RequestItems"].items()
    found = [{"pk": item["pk"], "sk": item["sk"]} for item in parsed["Responses"][name]]
    unprocessed = {name: wanted | {"Keys": found}} if found else {}
    return (response, parsed | {"Responses": {name: []}, "UnprocessedKeys": unprocessed}), error

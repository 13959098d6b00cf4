"""Faults between the functions and AWS: put into botocore, below its retries, whatever answers behind it."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from io import BytesIO
from typing import Any
from unittest.mock import patch

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from image_pipeline import clients

Answer = tuple[Any, Exception | None]


class KilledError(BaseException):
    """The process ends here: nothing of the function catches it."""


class Fault(StrEnum):
    """What goes wrong with a call. "once" is the first try only; botocore then tries again."""

    NEVER_SENT = "never sent"
    TIMEOUT = "timeout, not applied"
    REPLY_LOST_ONCE = "applied, reply lost once"
    REPLY_LOST = "applied, reply lost"
    THROTTLED_ONCE = "throttled once"
    THROTTLED = "throttled"
    NO_CAPACITY_ONCE = "no capacity once"
    NO_CAPACITY = "no capacity"
    ERROR_ONCE = "500 once"
    ERROR = "500"
    KILLED_BEFORE = "process killed before"
    KILLED_AFTER = "process killed after"


ONCE = {Fault.REPLY_LOST_ONCE, Fault.THROTTLED_ONCE, Fault.NO_CAPACITY_ONCE, Fault.ERROR_ONCE}
# What a transaction is cancelled for when a partition has no capacity left. botocore does not try it again.
_CANCELLED = [{"Code": "None"}, {"Code": "ThrottlingError"}, {"Code": "ProvisionedThroughputExceeded"}]


@dataclass(frozen=True)
class Call:
    """The `number`-th call (from 0) of an AWS operation."""

    operation: str
    number: int

    def __str__(self) -> str:
        return f"{self.operation} {self.number + 1}"


@contextmanager
def faults(plan: Callable[[Call], Fault | None]) -> Iterator[list[Call]]:
    """Let each call suffer what `plan` says; yield the calls that are made, as they are made."""
    made: list[Call] = []
    numbers: Counter[str] = Counter()
    lock = threading.Lock()

    def injected(client: Any) -> Any:
        endpoint = client._endpoint  # noqa: SLF001 - botocore's events come too early for a reply to be lost
        send, get = endpoint._send_request, endpoint._do_get_response  # noqa: SLF001
        current = threading.local()

        def send_request(request_dict: dict[str, Any], operation_model: Any) -> Any:
            with lock:
                current.call = Call(operation_model.name, numbers[operation_model.name])
                numbers[operation_model.name] += 1
                made.append(current.call)
            current.tries, current.fault = 0, plan(current.call)
            return send(request_dict, operation_model)

        def do_get_response(request: Any, operation_model: Any, context: Any) -> Answer:
            current.tries += 1
            fault = current.fault
            if fault is None or (fault in ONCE and current.tries > 1):
                answered: Answer = get(request, operation_model, context)
                return answered
            apply = partial(get, request, operation_model, context)
            return _suffer(fault, operation_model.name, request.url, apply)

        return patch.multiple(endpoint, _send_request=send_request, _do_get_response=do_get_response)

    with (
        injected(clients.dynamodb()),
        injected(clients.s3()),
        patch("botocore.endpoint.time.sleep", lambda _: None),  # the pauses between botocore's tries
    ):
        yield made


def only(call: Call, fault: Fault) -> Callable[[Call], Fault | None]:
    """Return the plan by which one call suffers a fault and the others none."""
    return lambda made: fault if made == call else None


def _suffer(fault: Fault, operation: str, url: str, apply: Callable[[], Answer]) -> Answer:
    match fault:
        case Fault.NEVER_SENT:
            return None, ConnectTimeoutError(endpoint_url=url)
        case Fault.TIMEOUT:
            return None, ReadTimeoutError(endpoint_url=url)
        case Fault.REPLY_LOST | Fault.REPLY_LOST_ONCE:
            apply()
            return None, ReadTimeoutError(endpoint_url=url)
        case Fault.THROTTLED | Fault.THROTTLED_ONCE:
            return _error(url, 400, "ThrottlingException")
        case Fault.NO_CAPACITY | Fault.NO_CAPACITY_ONCE:
            return _no_capacity(operation, url)
        case Fault.ERROR | Fault.ERROR_ONCE:
            return _error(url, 500, "InternalServerError")
        case Fault.KILLED_BEFORE:
            raise KilledError
        case Fault.KILLED_AFTER:
            apply()
            raise KilledError


class _Empty(BytesIO):
    """A body without bytes, as urllib3 has them."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def _no_capacity(operation: str, url: str) -> Answer:
    if operation == "TransactWriteItems":
        return _error(url, 400, "TransactionCanceledException", CancellationReasons=_CANCELLED)
    if "Object" in operation:  # S3's
        return _error(url, 503, "SlowDown")
    return _error(url, 400, "ProvisionedThroughputExceededException")


def _error(url: str, status: int, code: str, **more: Any) -> Answer:
    parsed = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return (AWSResponse(url, status, HTTPHeaders(), _Empty()), parsed), None

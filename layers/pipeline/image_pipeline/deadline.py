"""The time that is left to respond to a request, before Lambda or API Gateway gives up."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from image_pipeline import settings

# Time for the response to reach API Gateway, and for a small difference between the clocks.
_MARGIN_MS = 1_000
# API Gateway waits at most 300 s. If the request of an event is older, it is a test event, and only Lambda's limit
# counts.
_OLDEST_REQUEST_MS = 600_000

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


class Context(Protocol):
    """The part of Lambda's context object that the deadline needs."""

    def get_remaining_time_in_millis(self) -> int: ...


@contextmanager
def of(event: Mapping[str, Any], context: Context) -> Iterator[None]:
    """Set the deadline of an invocation for the block, in this thread and in each `threads.ThreadPool` it starts.

    The deadline is the earlier of two. Lambda's time limit starts with the invocation. API Gateway's starts with the
    request, and therefore includes a cold start. Raises SettingError.
    """
    milliseconds = min(context.get_remaining_time_in_millis(), _gateway_waits_ms(event))
    token = _ends_at.set(time.monotonic() + milliseconds / 1000)
    try:
        yield
    finally:
        _ends_at.reset(token)


@contextmanager
def earlier(seconds: float) -> Iterator[None]:
    """Move the deadline `seconds` earlier for the block, to keep that time for the work after the block."""
    token = _ends_at.set(_ends_at.get() - seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def remaining() -> float:
    """Return the seconds until the deadline, or infinity outside an invocation."""
    return _ends_at.get() - time.monotonic()


def _gateway_waits_ms(event: Mapping[str, Any]) -> float:
    """Return how long API Gateway will still wait, in milliseconds, or infinity if the event does not say."""
    if settings.is_sam_local():
        # SAM puts the time of its own start into every event.
        return math.inf
    match event:
        case {"requestContext": {"requestTimeEpoch": int(requested_at)}}:
            timeout_ms = settings.gateway_timeout_seconds() * 1000
            age = int(time.time() * 1000) - requested_at
            if age < _OLDEST_REQUEST_MS:
                return timeout_ms - _MARGIN_MS - age
    return math.inf

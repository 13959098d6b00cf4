"""The time left to answer a request: until Lambda ends the function, or API Gateway stops waiting for it."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from image_pipeline import settings

# The answer takes time to reach the gateway, and the clocks of gateway and function may differ a little.
_MARGIN_MS = 1_000
# No gateway waits longer than 300 s. An older request is a test event, and has the time that Lambda gives.
_OLDEST_REQUEST_MS = 600_000

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


class Context(Protocol):
    """The part of Lambda's context object that is used here."""

    def get_remaining_time_in_millis(self) -> int: ...


@contextmanager
def of(event: Mapping[str, Any], context: Context) -> Iterator[None]:
    """Set the deadline of an invocation while the block runs, for this thread and any `threads.ThreadPool` in it.

    Lambda counts from the start of the invocation. API Gateway counts from the request, so a cold start before the
    invocation takes some of the gateway's time. Raises SettingError.
    """
    milliseconds = min(context.get_remaining_time_in_millis(), _gateway_waits_ms(event))
    token = _ends_at.set(time.monotonic() + milliseconds / 1000)
    try:
        yield
    finally:
        _ends_at.reset(token)


@contextmanager
def earlier(seconds: float) -> Iterator[None]:
    """Bring the deadline `seconds` nearer while the block runs: that time is kept for the work after the block."""
    token = _ends_at.set(_ends_at.get() - seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def remaining() -> float:
    """Return the seconds until the deadline; infinity outside an invocation."""
    return _ends_at.get() - time.monotonic()


def _gateway_waits_ms(event: Mapping[str, Any]) -> float:
    """Return for how long API Gateway still waits, in milliseconds; infinity if the event does not tell."""
    timeout_ms = settings.gateway_timeout_seconds() * 1000
    if settings.is_sam_local():
        # The time of the request is the one at which SAM was started.
        return math.inf
    match event:
        case {"requestContext": {"requestTimeEpoch": int(requested_at)}}:
            age = int(time.time() * 1000) - requested_at
            if age < _OLDEST_REQUEST_MS:
                return timeout_ms - _MARGIN_MS - age
    return math.inf

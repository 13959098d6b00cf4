"""How long this invocation may still take. Lambda ends it without a word; whoever is late answers before that."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


class Context(Protocol):
    """What is needed of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int: ...


@contextmanager
def of(context: Context) -> Iterator[None]:
    """Count the time of an invocation while the block runs, for the thread that handles it."""
    token = _ends_at.set(time.monotonic() + context.get_remaining_time_in_millis() / 1000)
    try:
        yield
    finally:
        _ends_at.reset(token)


def remaining() -> float:
    """Return the seconds that are left; without end outside an invocation."""
    return _ends_at.get() - time.monotonic()

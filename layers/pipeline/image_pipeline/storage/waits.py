"""How many requests wait for the end of a processing at the same time.

Each waiting request costs the time of an environment, so their number has a limit. Time has windows of 5 seconds, and
an item of each window counts the requests that wait in it. So at no time do more of them wait than its window counts.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import uuid4

from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.storage import keys, table

WINDOW_SECONDS = 5
_RETENTION_SECONDS = 3600


@dataclass
class Place:
    """The place of one request among those that wait."""

    _last: int = field(default_factory=lambda: _window(time.time()) - 1)

    def keep(self, seconds: float) -> bool:
        """Take the place for the next `seconds`. Return whether there is one. If nobody can count, there is none."""
        wanted = _window(time.time() + seconds)
        with suppress(StorageError):
            while self._last < wanted and _take(self._last + 1):
                self._last += 1
        return self._last >= wanted


def _window(moment: float) -> int:
    return int(moment // WINDOW_SECONDS)


def _take(window: int) -> bool:
    """Count a request in a window, unless as many wait as may. A call that is sent twice may count twice."""
    attempt = str(uuid4())
    item = table.update(
        keys.waits(window),
        "SET attempt = :attempt, expires_at = :expires_at ADD waits :one",
        ConditionExpression="attribute_not_exists(waits) OR waits < :limit",
        ExpressionAttributeValues=table.serialize(
            {
                ":attempt": attempt,
                ":expires_at": window * WINDOW_SECONDS + _RETENTION_SECONDS,
                ":one": 1,
                ":limit": settings.max_concurrent_waits(),
            }
        ),
    )
    return item is not None and item["attempt"] == attempt

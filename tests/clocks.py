"""A clock for tests: its pauses end at once."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clients.stopping import StopRequest

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Clock(StopRequest):
    """Remembers the pauses instead of waiting, and the lines that the user gets. `at_pause` is called in each pause."""

    pauses: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    at_pause: "Callable[[], None]" = lambda: None

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.at_pause()
        return self.is_set

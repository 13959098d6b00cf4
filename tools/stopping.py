"""What Ctrl-C and SIGTERM do to a command."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asks the command to stop. `status` is the exit status that shells expect then: 130 or 143.

    This is no KeyboardInterrupt: if that is raised inside `exec` of a text, which dataclasses and many imports use,
    Python ends the process by SIGINT, whatever status the command returns.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.status = 128 + number


@contextmanager
def by_signals() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM raise Stopped, so that `with` blocks clean up. Later ones are ignored."""
    before = {number: signal.signal(number, _stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _: object) -> None:
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)

"""How the elements of a command ended, such as objects or images."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from clients import cells
from clients.progress import progress
from clients.stopping import StopRequest, on_request
from tools import stopping
from tools.stack import parallel, refusals

T = TypeVar("T")

_MAX_SHOWN = 20
# If all of the first elements are refused, the permissions are wrong, and not some elements.
_MAX_DENIED = 50


class FailedError(Exception):
    """An element failed for a reason that the message tells."""


@dataclass(frozen=True)
class LeftOut:
    """The element does not belong to the work. `kind` is counted and shown, such as "folders"."""

    kind: str


# How an element ended: one of the phrases of a tally, LeftOut, or an exception.
Ended = str | LeftOut | BaseException


@dataclass
class Tally:
    """Counts how elements ended. `unit` is the name of one element.

    `phrases` say how an element can end well, such as "are queued". The first is the work of the command. Work that
    takes long ends early after `stop`. `on_failure` gets the name, the status and the reason of each element that is
    not done.
    """

    unit: str
    phrases: Sequence[str]
    on_failure: Callable[[str, str, str], None] = lambda *_: None
    counts: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    unfinished: int = 0
    not_tried: int = 0
    is_complete: bool = False
    stop: StopRequest = field(default_factory=StopRequest)
    shown: list[str] = field(default_factory=list)
    _denied: list[tuple[str, BaseException]] = field(default_factory=list)
    _has_access: bool = False
    _refusal: str | None = None

    @property
    def is_done(self) -> bool:
        """Tell whether all elements ended well."""
        return self.is_complete and not (self.failed or self.unfinished or self.not_tried)

    def each(
        self,
        items: Iterable[T],
        work: Callable[[T], Sequence[tuple[str, Ended]]],
        names: Callable[[T], Sequence[str]],
        threads: int,
    ) -> None:
        """Do the work on all items. It returns how each element of an item ended, by name.

        If the work raises, all elements of the item failed: those that `names` returns. Raises RefusedAccessError if
        no further call would succeed, Stopped after a signal, and what reading `items` raises.
        """
        with on_request() as stop, progress(self.unit) as shown:
            self.stop = stop
            try:
                for item, result in parallel.run(items, work, threads, stop):
                    ended = [(name, result) for name in names(item)] if isinstance(result, BaseException) else result
                    for name, end in ended:
                        shown.advance()
                        self._add(name, end)
                    if self._refusal:
                        stop.set()
            finally:
                stop.set()
                self._record_denied()
        if self._refusal:
            raise refusals.RefusedAccessError(self._refusal)
        if stop.signal is not None:
            raise stopping.Stopped(stop.signal)
        self.is_complete = True

    def summary(self) -> list[str]:
        """Return the lines that say how the elements ended."""
        first, *others = self.phrases
        parts = [f"{self.counts[first]:,} {self.unit}s {first}", *(f"{self.counts[each]:,} {each}" for each in others)]
        bad = ((self.failed, "failed"), (self.unfinished, "did not end"), (self.not_tried, "were not tried"))
        lines = [", ".join([*parts, *(f"{number:,} {phrase}" for number, phrase in bad if number)])]
        if self.left_out:
            lines.append("left out: " + ", ".join(f"{number:,} {kind}" for kind, number in self.left_out.items()))
        if not self.is_complete:
            lines.append(f"not complete: the command ended early, so more {self.unit}s may be left")
        lines += [f"  {line}" for line in self.shown]
        if (hidden := self.failed + self.unfinished - len(self.shown)) > 0:
            lines.append(f"  and {hidden:,} more")
        return lines

    def _add(self, name: str, ended: Ended) -> None:
        match ended:
            case str():
                self.counts[ended] += 1
                self._note_access()
            case LeftOut(kind):
                self.left_out[kind] += 1
            case parallel.NotTriedError():
                self.not_tried += 1
            case _ if line := refusals.advice(ended):
                self._refusal = self._refusal or line
                self.not_tried += 1
            case _ if refusals.is_denied(ended) and not self._has_access:
                self._note_denied(name, ended)
            case _:
                if refusals.is_of_aws(ended):
                    self._note_access()
                self._record(name, ended)

    def _note_access(self) -> None:
        self._has_access = True
        self._record_denied()

    def _note_denied(self, name: str, error: BaseException) -> None:
        """Keep the first denied elements, until it is known whether all are denied."""
        if self._refusal:
            self.not_tried += 1
            return
        self._denied.append((name, error))
        if len(self._denied) == _MAX_DENIED:
            self._refusal = (
                f"access to each of the first {_MAX_DENIED} {self.unit}s is denied ({_text(error)}). "
                "Check the permissions, also those for the KMS key"
            )
            self.not_tried += len(self._denied)
            self._denied.clear()

    def _record_denied(self) -> None:
        for name, error in self._denied:
            self._record(name, error)
        self._denied.clear()

    def _record(self, name: str, error: BaseException) -> None:
        is_unfinished = isinstance(error, parallel.UnfinishedError)
        status = "did not end" if is_unfinished else "failed"
        if is_unfinished:
            self.unfinished += 1
        else:
            self.failed += 1
        text = _text(error)
        if len(self.shown) < _MAX_SHOWN:
            self.shown.append(cells.printed(f"{name}: {text}"))
        self.on_failure(name, status, text)


def _text(error: BaseException) -> str:
    is_told = isinstance(error, (FailedError, parallel.UnfinishedError))
    return str(error) if is_told else refusals.reason(error)

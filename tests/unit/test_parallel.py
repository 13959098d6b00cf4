"""Work on many elements at the same time."""

import threading
import time
from collections.abc import Iterator

import pytest

from clients.stopping import StopRequest
from tools.stack import parallel


def test_every_item_comes_with_its_result_or_its_exception() -> None:
    def work(number: int) -> int:
        if number % 10 == 7:
            raise ZeroDivisionError(number)
        if number == 99:
            raise SystemExit(number)
        return number * 2

    found = dict(parallel.run(range(100), work, 8, StopRequest()))
    assert found.keys() == set(range(100))
    for number, result in found.items():
        if number % 10 == 7:
            assert isinstance(result, ZeroDivisionError)
        elif number == 99:
            assert isinstance(result, SystemExit)
        else:
            assert result == number * 2


def test_few_items_are_read_before_they_are_needed() -> None:
    read, done, most = 0, 0, 0

    def items() -> Iterator[int]:
        nonlocal read, most
        for number in range(200):
            read += 1
            most = max(most, read - done)
            yield number

    for _ in parallel.run(items(), lambda number: number, 4, StopRequest()):
        done += 1
    assert done == 200
    # One more is read and waits.
    assert most <= 2 * 4 + 1


def test_an_error_of_the_list_comes_after_the_results_of_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise OSError("the list ended")

    results = parallel.run(items(), lambda number: number, 3, StopRequest())
    assert sorted(next(results)[0] for _ in range(10)) == list(range(10))
    with pytest.raises(OSError, match="the list ended"):
        next(results)


def test_after_a_request_to_stop_nothing_begins_and_every_item_that_was_read_is_told() -> None:
    stop, began = StopRequest(), list[int]()
    read = list[int]()

    def items() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    def work(number: int) -> int:
        began.append(number)
        if len(began) == 5:
            stop.set()
        return number

    found = dict(parallel.run(items(), work, 4, stop))
    assert found.keys() == set(read)
    assert len(read) < 1000
    tried = [number for number, result in found.items() if not isinstance(result, parallel.NotTriedError)]
    assert sorted(tried) == sorted(began)


def test_work_and_a_list_that_hang_do_not_keep_a_stopped_command_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_GRACE_SECONDS", 0.3)
    stop, hanging = StopRequest(), threading.Event()

    def items() -> Iterator[int]:
        yield from range(4)
        hanging.wait()

    def work(number: int) -> int:
        if number == 3:
            hanging.wait()
        return number

    results, found = parallel.run(items(), work, 2, stop), dict[int, object]()
    for number, result in results:
        found[number] = result
        if len(found) == 3:
            stop.set()
    assert [found[number] for number in range(3)] == [0, 1, 2]
    assert isinstance(found[3], parallel.UnfinishedError)
    hanging.set()


def test_the_threads_end_with_the_work() -> None:
    before = threading.active_count()
    for _ in parallel.run(range(20), lambda number: number, 8, StopRequest()):
        pass
    # A reader may be abandoned in the middle.
    results = parallel.run(iter(int, 1), lambda number: number, 8, StopRequest())
    next(results)
    results.close()  # type: ignore[attr-defined] # a generator
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_batches() -> None:
    assert list(parallel.batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(parallel.batches([], 2)) == []

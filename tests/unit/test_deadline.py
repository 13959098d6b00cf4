import threading
import time
from typing import Any

import pytest

from image_pipeline import deadline
from image_pipeline.threads import ThreadPool
from tools.local.gateway import LocalContext

NOW = 1_800_000_000


@pytest.fixture(autouse=True)
def _stopped_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TIMEOUT_SECONDS", "29")
    monkeypatch.delenv("AWS_SAM_LOCAL", raising=False)  # an API in this process sets it
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)


def requested(seconds_ago: float) -> dict[str, Any]:
    """Return the event of a request that reached API Gateway `seconds_ago`."""
    return {"requestContext": {"requestTimeEpoch": int((NOW - seconds_ago) * 1000)}}


def time_left(event: dict[str, Any], seconds: float = 1000) -> float:
    with deadline.of(event, LocalContext("function", seconds=seconds)):
        return deadline.remaining()


def test_an_invocation_has_the_time_that_lambda_gives_it() -> None:
    assert time_left({}, seconds=100_000) == 100_000
    assert deadline.remaining() == float("inf")


@pytest.mark.parametrize(("seconds_ago", "left"), [(0, 28), (0.25, 27.75), (13, 15), (28, 0), (50, -22), (599, -571)])
def test_an_invocation_has_the_time_that_the_gateway_still_waits(seconds_ago: float, left: float) -> None:
    assert time_left(requested(seconds_ago)) == left


def test_the_earlier_deadline_counts() -> None:
    assert time_left(requested(0), seconds=15) == 15
    assert time_left(requested(20), seconds=15) == 8


def test_a_gateway_with_a_higher_quota_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TIMEOUT_SECONDS", "120")
    assert time_left(requested(20)) == 99


def test_the_request_time_of_sam_local_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    assert time_left(requested(100), seconds=29) == 29


def test_a_clock_behind_that_of_the_gateway_gives_at_most_the_time_of_lambda() -> None:
    assert time_left(requested(-2), seconds=29) == 29


@pytest.mark.parametrize(
    "context",
    [
        None,
        [],
        {},
        *(
            {"requestTimeEpoch": epoch}
            for epoch in (
                None,
                "1742108966000",
                1.5,
                True,
                0,
                -1,
                1742108966000,  # the events of this repository
                NOW,  # sam local: seconds
                NOW * 1_000_000,
                NOW * 1000 - 600_000,
                10**400,
                -(10**400),
            )
        ),
    ],
)
def test_an_impossible_request_time_is_ignored(context: object) -> None:
    assert time_left({"requestContext": context}, seconds=15) == 15


def test_a_block_can_have_an_earlier_deadline() -> None:
    with deadline.of({}, LocalContext("function", seconds=20)):
        with deadline.earlier(5):
            assert deadline.remaining() == 15
        assert deadline.remaining() == 20


def test_a_pool_has_the_deadline_of_the_thread_that_submits() -> None:
    with ThreadPool(1) as pool:
        with deadline.of({}, LocalContext("function", seconds=20)):
            inside = pool.submit(deadline.remaining)
            (mapped,) = pool.map(lambda _: deadline.remaining(), [0])
        outside = pool.submit(deadline.remaining)
        assert inside.result() == 20
        assert mapped == 20
        assert outside.result() == float("inf")


def test_outside_an_invocation_there_is_no_deadline() -> None:
    remaining: list[float] = []
    thread = threading.Thread(target=lambda: remaining.append(deadline.remaining()))
    thread.start()
    thread.join()
    assert remaining == [float("inf")]

"""Random schedules of uploads, repetitions, waiting and faults; the promises hold after each step."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.faults.injection import Call, Fault, faults
from tests.faults.world import LEASE_SECONDS, World
from tests.pictures import encode

SCHEDULES = int(os.environ.get("SCHEDULES", "2000"))
FILES = {
    "red": encode(Image.new("RGB", (8, 8), "red")),
    "blue": encode(Image.new("RGB", (8, 8), "blue")),
    "damaged": encode(Image.new("RGB", (64, 64), "red"))[:60],
}
CALLS = [
    *(Call("PutItem", number) for number in range(2)),
    *(Call("PutObject", number) for number in range(2)),
    *(Call("TransactWriteItems", number) for number in range(2)),
    *(Call("GetItem", number) for number in range(3)),
    Call("DeleteObjects", 0),
]


@dataclass(frozen=True)
class Step:
    """An upload of a file, `seconds` after the one before, with what goes wrong on the way."""

    file: str
    key: str | None
    seconds: int
    plan: dict[Call, Fault]


STEPS = st.builds(
    Step,
    file=st.sampled_from(sorted(FILES)),
    key=st.sampled_from(["first", "second", None]),
    seconds=st.sampled_from([0, 1, LEASE_SECONDS + 1]),
    plan=st.dictionaries(st.sampled_from(CALLS), st.sampled_from(Fault), max_size=3),
)


# function_scoped_fixture: each example empties the storage itself.
@settings(
    max_examples=SCHEDULES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, min_size=1, max_size=6))
# Its transactions are real ones, and ten times faster than moto's.
@pytest.mark.parametrize("world", ["DynamoDB Local"], indirect=True)
def test_the_promises_hold(world: World, steps: list[Step]) -> None:
    world.empty()
    for step in steps:
        world.clock += step.seconds
        with faults(_planned(step.plan)):
            world.upload(FILES[step.file], step.key)
        world.check()
    # In the end the faults are gone, and whoever asks again gets an answer.
    world.clock += LEASE_SECONDS + 1
    for file, key in dict.fromkeys((step.file, step.key) for step in steps):
        wanted = {400} if file == "damaged" else {200}
        assert world.upload(FILES[file], key) in (wanted | {422} if key else wanted)
    world.check()
    world.sweep()


def _planned(plan: dict[Call, Fault]) -> Callable[[Call], Fault | None]:
    return plan.get

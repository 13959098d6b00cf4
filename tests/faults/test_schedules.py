"""Random schedules of uploads, repetitions, reads, pauses and faults. The promises must hold after each step."""

import os
from dataclasses import dataclass
from math import ceil

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from tests.faults.injection import Call, Fault, faults
from tests.faults.pipeline import LEASE_SECONDS, READERS, Pipeline
from tests.pictures import encode

SCHEDULES = int(os.environ.get("SCHEDULES", "200"))
# Each part may run in another process.
PARTS = 8
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


READ_CALLS = [*(Call("Query", number) for number in range(4)), Call("GetItem", 0), Call("BatchGetItem", 0)]
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Upload:
    """An upload of a file, `seconds` after the upload before it. `plan` has the faults of its calls."""

    file: str
    key: str | None
    seconds: int
    plan: dict[Call, Fault]


@dataclass(frozen=True)
class Read:
    """A request to a reading function. It asks for the first acknowledged image, if there is one."""

    what: str
    plan: dict[Call, Fault]


UPLOADS = st.builds(
    Upload,
    file=st.sampled_from(sorted(FILES)),
    key=st.sampled_from(["first", "second", None]),
    seconds=st.sampled_from([0, 1, LEASE_SECONDS + 1]),
    plan=st.dictionaries(st.sampled_from(CALLS), st.sampled_from(Fault), max_size=3),
)
READS = st.builds(
    Read,
    what=st.sampled_from(sorted(READERS)),
    plan=st.dictionaries(st.sampled_from(READ_CALLS), st.sampled_from(Fault), max_size=2),
)

# Two uploads per read. Hypothesis would treat UPLOADS | UPLOADS | READS as only two alternatives.
STEPS = st.integers(0, 2).flatmap(lambda number: READS if number == 0 else UPLOADS)
SCHEDULE: st.SearchStrategy[list[Upload | Read]] = st.builds(
    lambda first, others: [first, *others], UPLOADS, st.lists(STEPS, max_size=7)
)


@pytest.mark.parametrize(
    "part", [pytest.param(number, marks=pytest.mark.xdist_group(f"schedules {number}")) for number in range(PARTS)]
)
# Not on moto: DynamoDB Local has real transactions, and they are ten times faster.
@pytest.mark.parametrize("pipeline", ["DynamoDB Local"], indirect=True)
def test_the_promises_hold(pipeline: Pipeline, part: int) -> None:
    @seed(part)
    @settings(max_examples=ceil(SCHEDULES / PARTS), deadline=None, database=None)
    @given(steps=SCHEDULE)
    def hold(steps: list[Upload | Read]) -> None:
        run(pipeline, steps)

    hold()


def run(pipeline: Pipeline, steps: list[Upload | Read]) -> None:
    pipeline.empty()
    for step in steps:
        if isinstance(step, Read):
            read(pipeline, step)
            continue
        pipeline.clock += step.seconds
        with faults(step.plan.get):
            pipeline.upload(FILES[step.file], step.key)
        pipeline.check()
    # At the end there are no more faults, and each repeated upload gets its final response.
    pipeline.clock += LEASE_SECONDS + 1
    for file, key in dict.fromkeys((step.file, step.key) for step in steps if isinstance(step, Upload)):
        wanted = {400} if file == "damaged" else {200}
        assert pipeline.upload(FILES[file], key) in (wanted | {422} if key else wanted)
    pipeline.check()
    pipeline.check_after_expiry()


def read(pipeline: Pipeline, step: Read) -> None:
    image_id = next(iter(pipeline.acknowledged), UNKNOWN_ID)
    with faults(step.plan.get):
        status, body = pipeline.read(step.what, image_id)
    assert step.plan or status in {200, 404}
    pipeline.check_read(step.what, image_id, status, body)

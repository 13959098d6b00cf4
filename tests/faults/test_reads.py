"""Reads with every fault in every call. The response is right, or it is 503 and the next response is right."""

import pytest

from tests.faults.injection import ONCE, Call, Fault, faults, only
from tests.faults.pipeline import READERS, Pipeline
from tests.faults.test_uploads import CONTENT, DAMAGED


def calls_of(pipeline: Pipeline, what: str, image_id: str) -> list[Call]:
    with faults(lambda _: None) as made:
        pipeline.read(what, image_id)
    return made


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("what", READERS)
def test_a_read_is_right_or_it_is_503_and_then_right(
    pipeline: Pipeline, outcomes: dict[tuple[str, str], set[str]], what: str, fault: Fault
) -> None:
    pipeline.upload(CONTENT, None)
    pipeline.upload(DAMAGED, None)
    (image_id,) = pipeline.acknowledged
    calls = calls_of(pipeline, what, image_id)
    # The check asks for two images. For an owner, each is a query.
    numbers = {"list_images": 4, "check_images": 1 if pipeline.caller is None else 2}
    assert len(calls) == numbers.get(what, 1)
    for call in (call for call in calls if fault.strikes(call.operation)):
        with faults(only(call, fault)) as made:
            status, body = pipeline.read(what, image_id)
        assert call in made
        assert status == 200 if fault in ONCE else status in {503, None}
        pipeline.check_read(what, image_id, status, body)
        retried, body = pipeline.read(what, image_id)
        assert retried == 200
        pipeline.check_read(what, image_id, retried, body)
        outcomes[f"{what} {call.operation}", fault].add(f"{status or 'none'}, {retried}")
    pipeline.check()

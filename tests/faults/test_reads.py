"""Reads with every fault in every call. The answer is right, or it is 503 and the next answer is right."""

import pytest

from tests.faults.injection import ONCE, Call, Fault, faults, only
from tests.faults.test_uploads import CONTENT, DAMAGED
from tests.faults.world import READERS, World


def calls_of(world: World, what: str, image_id: str) -> list[Call]:
    with faults(lambda _: None) as made:
        world.read(what, image_id)
    return made


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("what", READERS)
def test_a_read_is_right_or_it_is_503_and_then_right(
    world: World, outcomes: dict[tuple[str, str], set[str]], what: str, fault: Fault
) -> None:
    world.upload(CONTENT, None)
    world.upload(DAMAGED, None)
    (image_id,) = world.acknowledged
    calls = calls_of(world, what, image_id)
    assert len(calls) == (4 if what == "list_images" else 1)
    for call in (call for call in calls if fault.strikes(call.operation)):
        with faults(only(call, fault)) as made:
            status, body = world.read(what, image_id)
        assert call in made
        assert status == 200 if fault in ONCE else status in {503, None}
        world.check_read(what, image_id, status, body)
        retried, body = world.read(what, image_id)
        assert retried == 200
        world.check_read(what, image_id, retried, body)
        outcomes[f"{what} {call.operation}", fault].add(f"{status or 'none'}, {retried}")
    world.check()

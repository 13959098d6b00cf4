"""Injects every fault into every call that an upload makes. Then the client retries."""

import pytest
from PIL import Image

from tests.faults.injection import ONCE, Call, Fault, faults, only
from tests.faults.pipeline import LEASE_SECONDS, Pipeline
from tests.pictures import encode

CONTENT = encode(Image.new("RGB", (8, 8), "red"))
DAMAGED = encode(Image.new("RGB", (64, 64), "red"))[:60]
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


def calls_of(pipeline: Pipeline, content: bytes, key: str | None) -> list[Call]:
    with faults(lambda _: None) as made:
        pipeline.upload(content, key)
    return sorted(made, key=str)


@pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without"])
@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("content", [CONTENT, DAMAGED], ids=["image", "damaged"])
def test_an_upload_survives(
    pipeline: Pipeline, outcomes: dict[tuple[str, str], set[str]], content: bytes, fault: Fault, key: str | None
) -> None:
    right = 200 if content == CONTENT else 400
    # New storage per call would be slow. Instead, each call has its own Idempotency-Key.
    calls = calls_of(pipeline, content, key)
    assert len(calls) == (4 if content == CONTENT else 1) + bool(key)
    for number, call in enumerate(call for call in calls if fault.strikes(call.operation)):
        own_key = key and f"{key}-{number}"
        before = len(pipeline.acknowledged)
        with faults(only(call, fault)) as made:
            first = pipeline.upload(content, own_key)
        assert call in made
        if fault in ONCE:
            assert first == right
        pipeline.check()
        retried = pipeline.upload(content, own_key)
        responses = [first, retried]
        if retried == 409:
            assert own_key, "only a key can be in use"
            pipeline.clock += LEASE_SECONDS + 1
            retried = pipeline.upload(content, own_key)
            responses.append(retried)
        if key and content == CONTENT:
            outcomes[str(call), fault].add(", ".join(str(response or "none") for response in responses))
        assert retried == right, f"{call}, {fault}: {first}, then {retried}"
        pipeline.check()
        new = len(pipeline.acknowledged) - before
        assert new <= (1 if own_key else 2)
    pipeline.check_after_expiry()

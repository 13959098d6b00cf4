"""Injects every fault into every call of a direct upload. Then SQS delivers the message again."""

from collections import Counter
from unittest.mock import Mock

import pytest

from image_pipeline import settings
from image_pipeline.errors import CaptionError, StorageError
from image_pipeline.models import ImageRecord
from image_pipeline.storage import clients, file_store, records
from image_pipeline.storage import keys as names
from image_pipeline.storage.claims import MAX_ATTEMPTS
from image_processing.captions import Captioner
from tests.faults.injection import ONCE, Call, Fault, faults, only
from tests.faults.pipeline import Pipeline, keys
from tests.faults.test_uploads import CONTENT, DAMAGED

# Longer than the lease of a worker, and less than the visibility timeout of the queue.
REDELIVERY_SECONDS = 130


def send(pipeline: Pipeline, content: bytes) -> str:
    image_id = pipeline.request_upload(content)
    assert image_id
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=names.uploaded_file(image_id), Body=content)
    return image_id


def state(image_id: str) -> str:
    image = records.find(None, image_id)
    if isinstance(image, ImageRecord):
        return "success"
    return "processing" if image.error is None else "failure"


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("content", [CONTENT, DAMAGED], ids=["image", "damaged"])
def test_a_worker_survives(pipeline: Pipeline, content: bytes, fault: Fault) -> None:
    expected = "success" if content == CONTENT else "failure"
    image_id = send(pipeline, content)
    with faults(lambda _: None) as calls:
        assert pipeline.process(image_id)
    assert state(image_id) == expected
    for call in sorted({call for call in calls if fault.strikes(call.operation)}, key=str):
        image_id = send(pipeline, content)
        with faults(only(call, fault)) as made:
            done = pipeline.process(image_id)
        assert call in made
        if fault in ONCE:
            assert done
        pipeline.check()
        if done:
            assert state(image_id) == expected
        # SQS delivers a message again after a failure, and now and then without one.
        pipeline.clock += REDELIVERY_SECONDS
        assert pipeline.process(image_id), f"{call}, {fault}"
        assert state(image_id) == expected
        pipeline.check()
        assert keys(settings.uploads_bucket()) == []
    pipeline.check_after_expiry()


@pytest.mark.parametrize("is_failed", [False, True], ids=["new", "failed before"])
@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("content", [CONTENT, DAMAGED], ids=["image", "damaged"])
def test_the_last_attempt_survives(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, content: bytes, fault: Fault, *, is_failed: bool
) -> None:
    """The last attempt suffers a fault, also after a redrive. Then the message is sent back from the dead letters."""

    def sent() -> str:
        image_id = send(pipeline, content)
        if is_failed:
            with monkeypatch.context() as patch:
                patch.setattr(file_store, "get", Mock(side_effect=StorageError))
                assert not pipeline.process(image_id, MAX_ATTEMPTS)
            assert state(image_id) == "failure"
            pipeline.check()
            pipeline.clock += REDELIVERY_SECONDS
        return image_id

    expected = "success" if content == CONTENT else "failure"
    image_id = sent()
    with faults(lambda _: None) as calls:
        assert pipeline.process(image_id, MAX_ATTEMPTS)
    assert state(image_id) == expected
    assert Counter(call.operation for call in calls)["UpdateItem"] == (2 if is_failed else 1)
    assert Counter(call.operation for call in calls)["TransactWriteItems"] == (1 if is_failed else 2)
    for call in sorted({call for call in calls if fault.strikes(call.operation)}, key=str):
        image_id = sent()
        with faults(only(call, fault)) as made:
            done = pipeline.process(image_id, MAX_ATTEMPTS)
        assert call in made
        if fault in ONCE:
            assert done
        pipeline.check()
        if is_failed:
            assert state(image_id) != "processing"
        pipeline.clock += REDELIVERY_SECONDS
        assert pipeline.process(image_id), f"{call}, {fault}"
        assert state(image_id) == expected
        pipeline.check()
        assert keys(settings.uploads_bucket()) == []
    pipeline.check_after_expiry()


@pytest.mark.parametrize("number", [1, MAX_ATTEMPTS], ids=["first", "last"])
@pytest.mark.parametrize("fault", Fault)
def test_an_attempt_that_fails_survives(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, fault: Fault, number: int
) -> None:
    """An attempt without a caption suffers a fault, also while it ends its lease. Then the message comes back."""

    def failing(image_id: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
            assert not pipeline.process(image_id, number)

    expected = "failure" if number == MAX_ATTEMPTS else "processing"
    image_id = send(pipeline, CONTENT)
    with faults(lambda _: None) as calls:
        failing(image_id)
    assert state(image_id) == expected
    # No lease is left.
    assert pipeline.process(image_id)
    for call in sorted({call for call in calls if fault.strikes(call.operation)}, key=str):
        image_id = send(pipeline, CONTENT)
        with faults(only(call, fault)) as made:
            failing(image_id)
        assert call in made
        pipeline.check()
        if fault in ONCE:
            assert state(image_id) == expected
        pipeline.clock += REDELIVERY_SECONDS
        assert pipeline.process(image_id), f"{call}, {fault}"
        assert state(image_id) == "success"
        pipeline.check()
    pipeline.check_after_expiry()


@pytest.mark.parametrize("fault", Fault)
def test_a_request_survives(pipeline: Pipeline, fault: Fault) -> None:
    with faults(lambda _: None) as calls:
        assert pipeline.request_upload(CONTENT)
    for call in [call for call in calls if fault.strikes(call.operation)]:
        with faults(only(call, fault)) as made:
            image_id = pipeline.request_upload(CONTENT)
        assert call in made
        if image_id:
            assert state(image_id) == "processing"
        assert pipeline.request_upload(CONTENT)
        pipeline.check()


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.strikes("PutItem")])
@pytest.mark.parametrize("content", [CONTENT, DAMAGED], ids=["image", "damaged"])
def test_an_image_that_is_deleted_at_any_moment_stays_deleted(pipeline: Pipeline, content: bytes, fault: Fault) -> None:
    """The worker suffers a fault, then the image is deleted, then the message is delivered again."""
    image_id = send(pipeline, content)
    with faults(lambda _: None) as calls:
        pipeline.process(image_id)
    for call in calls:
        image_id = send(pipeline, content)
        with faults(only(Call(call.operation, call.number), fault)):
            pipeline.process(image_id)
        records.delete(pipeline.owner, image_id)
        pipeline.clock += REDELIVERY_SECONDS
        assert pipeline.process(image_id)
        assert keys(settings.uploads_bucket()) == []

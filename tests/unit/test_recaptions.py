import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from functions.process_upload import app
from functions.upload_image import app as upload_image
from image_pipeline import settings
from image_pipeline.models import SHARED, CaptionModel, ImageRecord
from image_pipeline.storage import clients, keys, records
from image_processing import captions
from tests.events import load_event, upload_event
from tests.pictures import RED_LEFT_OF_BLUE, scene_png
from tools.local.gateway import LocalContext

pytestmark = pytest.mark.usefixtures("aws")

OLD = CaptionModel("an-older-model", "1", "fp32")


def recaption(image_id: str) -> list[Any]:
    event = load_event("process_upload")
    event["Records"][0]["body"] = json.dumps({"caption": image_id})
    return app.lambda_handler(event, LocalContext("ProcessUploadFunction", seconds=120))["batchItemFailures"]


@pytest.fixture
def old(aws: None) -> ImageRecord:  # noqa: ARG001 - it is needed first
    """A stored image with the caption of another model."""
    response = upload_image.lambda_handler(upload_event(scene_png()), LocalContext("UploadImageFunction"))
    record = records.get(SHARED, json.loads(response["body"])["data"]["image_id"])
    records.replace_caption(record, "an old caption", Decimal("0.5"), OLD)
    return records.get(SHARED, record.image_id)


def test_an_image_gets_a_new_caption_from_its_thumbnail(old: ImageRecord) -> None:
    assert (old.caption, old.caption_model) == ("an old caption", OLD)
    assert recaption(old.image_id) == []
    new = records.get(SHARED, old.image_id)
    assert (new.caption, new.caption_model) == (RED_LEFT_OF_BLUE.caption, captions.get_captioner().model)
    assert old.caption_confidence == Decimal("0.5")
    assert new.caption_confidence is not None
    assert Decimal("0.9") < new.caption_confidence <= 1
    replaced = {name: getattr(old, name) for name in ("caption", "caption_confidence", "caption_model")}
    assert replace(new, **replaced) == old
    assert records.statistics(SHARED).success == 1


def test_the_new_caption_begins_with_the_prompt_of_the_upload() -> None:
    event = upload_event(scene_png(), prompt="a small blue")
    response = upload_image.lambda_handler(event, LocalContext("UploadImageFunction"))
    image_id = json.loads(response["body"])["data"]["image_id"]
    record = records.get(SHARED, image_id)
    records.replace_caption(record, "an old caption", Decimal("0.5"), OLD)
    assert recaption(image_id) == []
    assert records.get(SHARED, image_id) == record
    assert record.caption.startswith("a small blue ")


def test_the_original_is_used_if_it_is_kept(old: ImageRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.original(old.image_id), Body=scene_png())
    monkeypatch.setattr(clients.s3(), "delete_objects", None)
    for key in old.thumbnails.values():
        clients.s3().delete_object(Bucket=settings.bucket_name(), Key=key)
    assert recaption(old.image_id) == []
    assert records.get(SHARED, old.image_id).caption == RED_LEFT_OF_BLUE.caption


def test_a_caption_of_this_model_stays(old: ImageRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    recaption(old.image_id)
    monkeypatch.setattr(captions.Captioner, "caption", None)
    assert recaption(old.image_id) == []


def test_a_deleted_or_unknown_image_is_done(old: ImageRecord) -> None:
    records.delete(SHARED, old.image_id)
    assert recaption(old.image_id) == []
    assert recaption("00000000-0000-4000-8000-000000000000") == []


def test_an_image_that_is_deleted_meanwhile_does_not_come_back(old: ImageRecord) -> None:
    records.delete(SHARED, old.image_id)
    records.replace_caption(old, "a caption", Decimal("0.5"), captions.get_captioner().model)
    assert recaption(old.image_id) == []


def test_a_message_of_another_kind_fails() -> None:
    event = load_event("process_upload")
    event["Records"][0]["body"] = "{}"
    assert app.lambda_handler(event, LocalContext("ProcessUploadFunction", seconds=120))["batchItemFailures"]

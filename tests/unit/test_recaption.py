"""The command that captions images again with another model."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from image_pipeline.models import SHARED, CaptionModel
from image_pipeline.storage import keys, records, table
from tests.deployed_stack import STACK, all_bodies, instead
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample
from tools.local.server import DEMO_MODEL
from tools.stack import recaption

pytestmark = pytest.mark.usefixtures("stack")

MODEL_JSON = str(DEMO_MODEL.absolute() / "model.json")


@pytest.fixture(autouse=True)
def in_an_empty_folder(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # noqa: ARG001
    monkeypatch.chdir(tmp_path)


def test_images_with_the_caption_of_another_model_are_queued(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    described = json.loads((DEMO_MODEL / "model.json").read_text())
    model = CaptionModel(described["id"], described["revision"], described["precision"])
    others = [sample_image(minutes=minutes) for minutes in range(12)]
    for record in (sample_image(IMAGE_ID), *others):
        store_sample(record)
    records.replace_caption(records.get(SHARED, IMAGE_ID), "a caption", Decimal("0.5"), model)
    old = [record for record in others if record.caption_model != model]
    assert recaption.main([STACK, MODEL_JSON]) == 0
    assert f"{len(old)} images are queued, {13 - len(old)} have a caption of this model" in capsys.readouterr().out
    sent = [json.loads(body)["caption"] for body in all_bodies(stack["UploadsQueue"])]
    assert sorted(sent) == sorted(record.image_id for record in old)


@pytest.mark.parametrize("writer", [None, "demo", {"id": "demo"}])
def test_an_item_that_cannot_be_read_is_a_failure_of_its_image(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str], writer: object
) -> None:
    stored = [sample_image(minutes=minutes) for minutes in range(3)]
    for record in stored:
        store_sample(record)
    table.update(
        keys.image(stored[1].image_id),
        "SET caption_model = :writer REMOVE metadata",
        ExpressionAttributeValues=table.serialize({":writer": writer}),
    )
    another_model = Path("model.json")
    described = json.loads(Path(MODEL_JSON).read_text())
    another_model.write_text(json.dumps(described | {"revision": "3"}))
    assert recaption.main([STACK, str(another_model)]) == 1
    out = capsys.readouterr().out
    assert "2 images are queued, 0 have a caption of this model, 1 failed" in out
    assert f"  {stored[1].image_id}: its item cannot be read" in out
    assert len(all_bodies(stack["UploadsQueue"])) == 2


def test_a_refused_message_is_named_and_the_others_are_sent(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    stored = [sample_image(minutes=minutes) for minutes in range(25)]
    for record in stored:
        store_sample(record)
    model = Path("model.json")
    model.write_text(json.dumps({"id": "other", "revision": "1", "precision": "fp32"}))
    first_tries = list[str]()

    def refuse(call: Any, operation: str, arguments: dict[str, Any]) -> Any:
        """Refuse one message for ever, and one in the first try."""
        if operation != "SendMessageBatch":
            return call(operation, arguments)
        at = {json.loads(entry["MessageBody"])["caption"]: entry for entry in arguments["Entries"]}
        bad = [entry for image_id, entry in at.items() if image_id == stored[3].image_id]
        bad += [
            entry for image_id, entry in at.items() if image_id == stored[7].image_id and image_id not in first_tries
        ]
        first_tries.extend(at)
        good = [entry for entry in arguments["Entries"] if entry not in bad]
        response = call(operation, arguments | {"Entries": good}) if good else {}
        failed = [
            {"Id": entry["Id"], "Code": "InternalError", "Message": "Try again", "SenderFault": False} for entry in bad
        ]
        return response | {"Failed": failed}

    with instead(refuse):
        assert recaption.main([STACK, str(model)]) == 1
    out = capsys.readouterr().out
    assert "24 images are queued, 0 have a caption of this model, 1 failed" in out
    assert f"  {stored[3].image_id}: SQS refused its message: Try again" in out
    sent = {json.loads(body)["caption"] for body in all_bodies(stack["UploadsQueue"])}
    assert sent == {record.image_id for record in stored} - {stored[3].image_id}


@pytest.mark.parametrize("content", ["no JSON", "[]", "{}"])
def test_a_file_that_describes_no_model_is_refused(content: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.json").write_text(content)
    with pytest.raises(SystemExit) as exit_:
        recaption.main([STACK, "model.json"])
    assert exit_.value.code == 2
    assert "model.json is no model.json: " in capsys.readouterr().err

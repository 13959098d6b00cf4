"""The commands for a deployed stack: backfill, recaption, redrive, reindex."""

import json
from decimal import Decimal
from typing import Any

import boto3
import pytest

from image_pipeline import settings
from image_pipeline.models import CaptionModel
from image_pipeline.storage import clients, keys, records, search_index
from tests.pictures import scene_png
from tools import backfill, recaption, redrive, reindex
from tools.image_records import IMAGE_ID, finished, store
from tools.local_api import DEMO_MODEL

pytestmark = pytest.mark.usefixtures("aws")

BUCKET, STACK = "archive", "a-stack"


@pytest.fixture(autouse=True)
def stack(aws: None) -> dict[str, str]:  # noqa: ARG001 - it is needed first
    """A stack with the outputs of template.yaml, whose queues are real, and its bucket and table those of the tests."""
    queue = {"Type": "AWS::SQS::Queue"}
    names = ("UploadsQueue", "UploadsDeadLetterQueue", "LeftoversDeadLetterQueue")
    values: dict[str, Any] = {
        "TableName": settings.table_name(),
        "UploadsBucketName": settings.uploads_bucket(),
        "UploadsQueueUrl": {"Ref": "UploadsQueue"},
    }
    outputs = {name: {"Value": value} for name, value in values.items()}
    template = {"Resources": dict.fromkeys(names, queue), "Outputs": outputs}
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(template))
    found = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}


@pytest.fixture
def archive() -> list[str]:
    """A bucket with two pictures below `trips/`, one elsewhere, and a text."""
    clients.s3().create_bucket(Bucket=BUCKET)
    names = ["trips/a.PNG", "trips/b c.jpg", "other/d.png", "trips/notes.txt"]
    for name in names:
        clients.s3().put_object(Bucket=BUCKET, Key=name, Body=scene_png())
    return names


def waiting() -> set[str]:
    listed = clients.s3().list_objects_v2(Bucket=settings.uploads_bucket()).get("Contents", [])
    return {item["Key"] for item in listed}


@pytest.mark.usefixtures("archive")
def test_a_dry_run_counts_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert backfill.main([STACK, BUCKET, "trips/", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("2 images, ")
    assert waiting() == set()


@pytest.mark.usefixtures("archive")
def test_a_backfill_queues_each_image_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert backfill.main([STACK, BUCKET, "trips/"]) == 0
    assert "2 images are queued, 0 were queued before" in capsys.readouterr().out
    assert len(waiting()) == 2
    # An interrupted command may have created the item, but not the file. So a requested image is copied again.
    for key in waiting():
        clients.s3().delete_object(Bucket=settings.uploads_bucket(), Key=key)
    backfill.main([STACK, BUCKET])
    assert len(waiting()) == 3
    capsys.readouterr()
    for key in waiting():
        image_id = keys.image_of_file(key)
        assert image_id
        records.delete(image_id)
        clients.s3().delete_object(Bucket=settings.uploads_bucket(), Key=key)
    backfill.main([STACK, BUCKET])
    assert "0 images are queued, 3 were queued before" in capsys.readouterr().out
    assert waiting() == set()


def test_images_with_the_caption_of_another_model_are_queued(
    stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    described = json.loads((DEMO_MODEL / "model.json").read_text())
    model = CaptionModel(described["id"], described["revision"], described["precision"])
    others = [finished(minutes=minutes) for minutes in range(12)]
    for record in (finished(IMAGE_ID), *others):
        store(record)
    records.replace_caption(records.get(IMAGE_ID), "a caption", Decimal("0.5"), model)
    old = [record for record in others if record.caption_model != model]
    assert recaption.main([STACK, str(DEMO_MODEL / "model.json")]) == 0
    assert f"{len(old)} images are queued" in capsys.readouterr().out
    number = clients.sqs().get_queue_attributes(
        QueueUrl=stack["UploadsQueue"], AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]["ApproximateNumberOfMessages"]
    assert int(number) == len(old)


def test_messages_go_back_from_a_dead_letter_queue(
    monkeypatch: pytest.MonkeyPatch, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    sqs, moved = boto3.client("sqs"), []
    sqs.send_message(QueueUrl=stack["UploadsDeadLetterQueue"], MessageBody="x")
    # moto does not have this operation.
    monkeypatch.setattr(sqs, "start_message_move_task", lambda **arguments: moved.append(arguments), raising=False)
    client = boto3.client
    monkeypatch.setattr(boto3, "client", lambda service: sqs if service == "sqs" else client(service))
    assert redrive.main([STACK]) == 0
    assert [task["SourceArn"].rpartition(":")[2] for task in moved] == [
        stack["UploadsDeadLetterQueue"].rpartition("/")[2]
    ]
    assert "LeftoversDeadLetterQueue: 0 messages - nothing to do" in capsys.readouterr().out


def test_the_index_is_written_again(capsys: pytest.CaptureFixture[str]) -> None:
    stored = [finished(minutes=minutes) for minutes in range(103)]
    for record in stored:
        store(record)
    search_index.update(stored[0].image_id)
    entry = keys.term("cartoon", keys.listing_position(stored[0]))
    boto3.resource("dynamodb").Table(settings.table_name()).delete_item(Key=entry)
    assert reindex.main([STACK]) == 0
    assert "103 images are in the index" in capsys.readouterr().out
    found = search_index.search(["cartoon", "pictur"], 100, None)
    assert [record.image_id for record in found.records] == [record.image_id for record in stored[:2:-1]]

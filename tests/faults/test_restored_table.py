"""Replaces the table by one as DynamoDB restores it from a backup, on DynamoDB Local.

DynamoDB Local has no backups. The copy here has what AWS documents of a restored table: the items of that time and the
index, but no stream, no TTL and no backups of its own. The steps are those of docs/operations.md.
"""

import pytest

from functions.delete_image import app as delete_image
from image_pipeline.storage import clients, search_index, table, terms
from tests.events import load_event
from tests.faults.pipeline import READERS, Pipeline, keys, stored
from tests.faults.test_follow_images import follow, followed_records
from tests.faults.test_uploads import CONTENT
from tools import template
from tools.local.gateway import LocalContext

RESTORED = "images-restored"
BEFORE, AFTER = 3, 2


def restore() -> None:
    """Copy the items to a new table with the keys and the index of the old one."""
    definition = template.table_definition(template.read())
    del definition["StreamSpecification"]
    clients.dynamodb().create_table(TableName=RESTORED, **definition)
    for item in stored():
        clients.dynamodb().put_item(TableName=RESTORED, Item=table.serialize(item))


def switch_on_stream_and_ttl() -> None:
    """Do what docs/operations.md says before a stack takes over the table."""
    dynamodb = clients.dynamodb()
    dynamodb.update_table(
        TableName=RESTORED, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )
    dynamodb.update_time_to_live(
        TableName=RESTORED, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
    )


def found(owner: str, word: str) -> set[str]:
    return {record.image_id for record in search_index.search(owner, terms.wanted(word), 10, None).records}


@pytest.mark.parametrize("pipeline", ["DynamoDB Local"], indirect=True)
def test_a_stack_takes_over_a_restored_table(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(BEFORE):
        assert pipeline.upload(CONTENT, None) == 200
    kept = set(pipeline.acknowledged)
    restore()
    # Images of later times are lost, but their files stay in the bucket.
    for _ in range(AFTER):
        assert pipeline.upload(CONTENT, None) == 200
    late = set(pipeline.acknowledged) - kept
    for image_id in late:
        del pipeline.acknowledged[image_id]
    switch_on_stream_and_ttl()
    monkeypatch.setenv("TABLE_NAME", RESTORED)

    pipeline.check()
    for image_id in kept:
        for what in READERS:
            pipeline.check_read(what, image_id, *pipeline.read(what, image_id))
    # No function had followed the stream before the backup, so the index is incomplete. `make reindex` completes it.
    assert found(pipeline.owner, "png") == set()
    for image_id in kept:
        search_index.update(image_id, rebuild=True)
    assert found(pipeline.owner, "png") == kept

    # The stream that was switched on reaches the function that follows it.
    deleted = kept.pop()
    event = load_event("delete_image")
    event["pathParameters"]["image_id"] = deleted
    assert delete_image.lambda_handler(event, LocalContext("DeleteImageFunction"))["statusCode"] == 200
    assert follow({"Records": followed_records()})
    assert found(pipeline.owner, "png") == kept
    assert {key.partition("/")[0] for key in keys()} == kept | late
    clients.dynamodb().delete_table(TableName=RESTORED)

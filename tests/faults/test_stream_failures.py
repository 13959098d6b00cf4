"""Records that a dead letter of the stream names, read from the stream of DynamoDB Local."""

from dataclasses import replace
from uuid import uuid4

import boto3
import pytest

from image_pipeline import settings
from image_pipeline.storage import clients, search_index
from tests.faults.test_follow_images import stream_records
from tools.local.sample_images import sample_image, store_sample
from tools.stack import deployed, stream_failures
from tools.stack.stream_failures import Batch, RecordsGoneError, UnreadableError


@pytest.mark.parametrize("pipeline", ["DynamoDB Local"], indirect=True)
@pytest.mark.usefixtures("pipeline")
def test_the_images_of_the_named_records_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    url = clients.dynamodb().meta.endpoint_url
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", url)
    deployed.forget_clients()
    monkeypatch.setattr(stream_failures, "_MAX_PAGES", 5)
    stored = [str(uuid4()) for _ in range(4)]
    for image_id in stored:
        store_sample(sample_image(image_id))
        search_index.update(image_id)
    numbers = {
        record["dynamodb"]["Keys"]["pk"]["S"]: record["dynamodb"]["SequenceNumber"]
        for record in stream_records()
        if record["dynamodb"]["Keys"]["sk"]["S"] == "IMAGE"
    }
    first, _, third, last = (numbers[f"IMAGE#{image_id}"] for image_id in stored)
    arn = clients.dynamodb().describe_table(TableName=settings.table_name())["Table"]["LatestStreamArn"]
    streams = boto3.client("dynamodbstreams")
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    batch = Batch(arn, shard["ShardId"], first, third)
    assert stream_failures.image_ids(batch) == stored[:3]
    assert stream_failures.image_ids(replace(batch, start=last, end=last)) == stored[3:]
    with pytest.raises(UnreadableError):
        stream_failures.image_ids(replace(batch, end=str(int(last) + 1000)))
    with pytest.raises(RecordsGoneError):
        stream_failures.image_ids(replace(batch, stream_arn=f"{arn[:-1]}{'1' if arn[-1] == '0' else '0'}"))

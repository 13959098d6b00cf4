"""Hundreds of direct uploads with duplicated messages, files that are not images, killed workers, and deletions."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from image_pipeline import settings
from image_pipeline.errors import ImageNotFoundError
from image_pipeline.storage import keys as names
from image_pipeline.storage import records, table
from image_pipeline.storage.claims import MAX_ATTEMPTS
from tests.events import load_event
from tests.faults.injection import Call, Fault, faults
from tests.faults.pipeline import Pipeline, keys, stored
from tests.faults.test_direct_uploads import REDELIVERY_SECONDS, send
from tests.faults.test_follow_images import follow
from tests.faults.test_schedules import SCHEDULES
from tests.faults.test_uploads import CONTENT, DAMAGED

UPLOADS = SCHEDULES


class Chaos:
    """The faults of one delivery: at a random call the worker is killed, or the image is deleted."""

    def __init__(self, rng: Random, delete: Callable[[], None]) -> None:
        self._moment, self._delete = rng.randrange(6), delete
        self._kills, self._deletes = rng.random() < 0.05, rng.random() < 0.05
        self._calls = 0

    def __call__(self, _: Call) -> Fault | None:
        self._calls += 1
        if self._calls != self._moment + 1:
            return None
        if self._deletes:
            self._delete()
        return Fault.KILLED_AFTER if self._kills else None


def delete(owner: str, image_id: str, deleted: set[str]) -> None:
    try:
        records.delete(owner, image_id)
    except ImageNotFoundError:
        assert image_id in deleted
    deleted.add(image_id)


def follow_deletion(image_id: str) -> None:
    event = load_event("follow_images_deleted")
    event["Records"][0]["dynamodb"]["Keys"] = table.serialize(names.image(image_id))
    assert follow(event)


@pytest.mark.parametrize("pipeline", ["moto", "Owners=caller"], indirect=True)
def test_every_upload_ends_once(pipeline: Pipeline) -> None:
    rng, deleted, dead_letters = Random(14), set[str](), 0
    for number in range(UPLOADS):
        content = DAMAGED if number % 20 == 0 else CONTENT
        send(pipeline, content)
    messages = list(pipeline.requested) + rng.sample(list(pipeline.requested), UPLOADS // 5)
    rng.shuffle(messages)
    received: Counter[int] = Counter()
    waiting = list(enumerate(messages))
    while waiting:
        again = []
        for number, image_id in waiting:
            received[number] += 1
            with faults(Chaos(rng, partial(delete, pipeline.owner, image_id, deleted))):
                done = pipeline.process(image_id, received[number])
            if not done:
                if received[number] < MAX_ATTEMPTS:
                    again.append((number, image_id))
                else:
                    dead_letters += 1
        pipeline.clock += REDELIVERY_SECONDS
        waiting = again
    for image_id in deleted:
        follow_deletion(image_id)

    images = {names.image_id(item["pk"]): item for item in stored() if item["sk"] == "IMAGE"}
    states = Counter(item["status"] for item in images.values())
    assert set(images) == set(pipeline.requested)
    assert states["success"] + states["failure"] + states["deleted"] == UPLOADS
    assert states["deleted"] == len(deleted) > UPLOADS // 50
    assert dead_letters == 0
    totals = records.statistics(pipeline.owner)
    # A deleted image may have been counted before.
    assert states["success"] <= totals.success <= states["success"] + states["deleted"]
    assert states["failure"] <= totals.failure <= states["failure"] + states["deleted"]
    finished = {image_id for image_id, item in images.items() if item["status"] == "success"}
    assert keys(settings.uploads_bucket()) == []
    left = {key.partition("/")[0] for key in keys()}
    assert finished <= left
    for image_id in images:
        follow_deletion(image_id)
    pipeline.check_counts()
    # Files that a killed worker stored after a deletion are deleted when the item of the deleted image expires.
    for image_id in left - finished:
        follow_deletion(image_id)
    assert {key.partition("/")[0] for key in keys()} == finished

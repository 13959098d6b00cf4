"""Damaged images, forms, events and keys are accepted, or the client gets an error. Nothing crashes or hangs.

The environment variable FUZZ multiplies the number of inputs.
"""

import os
import random
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from zlib import crc32

import pytest

from image_pipeline.errors import PipelineError
from image_pipeline.http import forms, requests
from image_pipeline.models import STANDARD_SIZES
from image_processing import pictures, thumbnails
from tests.events import load_event
from tests.fuzz.kinds import KINDS
from tests.fuzz.mutations import damaged, damaged_event, rearranged, with_right_checksums
from tests.hostile.corpus import files
from tests.routes import declared
from tools.local.gateway import LocalContext

pytestmark = [
    pytest.mark.usefixtures("aws", "quiet"),
    # Pillow warns about files that it repairs.
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
]

TIMES = int(os.environ.get("FUZZ", "1"))
HANG_SECONDS = 5
CPU_SECONDS = 2
CRASHES = Path("build/fuzz")
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    b"\x89PNG\r\n\x1a\n....\r\n"
    b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nx\r\n--b--\r\n'
)
# The event that is damaged for each function. Other functions use the event with the name of their folder.
EVENT_NAMES = {
    # Its file is never decoded. test_damaged_images tests decoding, a thousand times faster.
    "upload_image": "upload_image_unsupported",
    "list_images": "list_images_page",
    "get_thumbnail": "get_thumbnail_small",
}
HANDLERS = {EVENT_NAMES.get(each.folder, each.folder): each.handler for each in declared()}


def survives(run: Callable[[], object], content: bytes) -> str:
    """Call `run` and return the name of the outcome. After a crash, `content` is in build/fuzz, for the corpus."""
    start = time.perf_counter()
    try:
        run()
        outcome = "accepted"
    except PipelineError as error:
        outcome = type(error).__name__
    except BaseException:
        CRASHES.mkdir(parents=True, exist_ok=True)
        (CRASHES / f"crash-{crc32(content):08x}").write_bytes(content)
        raise
    assert time.perf_counter() - start < HANG_SECONDS
    return outcome


def process(content: bytes) -> None:
    """Process an image as an upload does, but without the caption."""
    picture = pictures.decode(content, datetime.now(UTC), 50_000_000)
    for side in STANDARD_SIZES.values():
        thumbnails.make(picture, side)
    pictures.flatten(picture)


@pytest.mark.parametrize("way", ["bytes", "structure"])
def test_damaged_images(way: str) -> None:
    dice, seen, dearest = random.Random(1), Counter[str](), 0.0
    pictures = [hostile.content for hostile in files() if len(hostile.content) < 20_000] + KINDS
    whole = [picture for picture in pictures if picture[:2] in {b"\xff\xd8", b"\x89P"} and len(picture) > 8]
    for _ in range(10_000 * TIMES):
        if way == "bytes":
            content = damaged(dice.choice(pictures), dice)
        else:
            content = rearranged(dice.choice(whole), dice.choice(whole), dice)
        if dice.random() < 0.6:
            content = with_right_checksums(content)
        start = time.process_time()
        seen[survives(partial(process, content), content)] += 1
        dearest = max(dearest, time.process_time() - start)
        assert dearest <= CPU_SECONDS
    report(f"images, damage to {way}", seen)
    print(f"the most expensive took {dearest:.2f} s of CPU")  # noqa: T201 - the output of the command
    assert set(seen) == {"accepted", "UndecodableImageError", "UnsupportedImageError", "ImageTooLargeError"}


def test_damaged_forms() -> None:
    dice, seen = random.Random(2), Counter[str]()
    for _ in range(20_000 * TIMES):
        body, media_type = damaged(FORM, dice), "multipart/form-data; boundary=b"
        if dice.random() < 0.2:
            media_type = damaged(media_type.encode(), dice).decode("latin-1")
        event = {"headers": {"Content-Type": media_type}, "isBase64Encoded": True, "body": b64encode(body).decode()}
        seen[survives(lambda event=event: forms.upload(event), body)] += 1  # type: ignore[misc]  # bound now
    report("forms", seen)
    assert set(seen) == {"accepted", "InvalidRequestError"}


def test_damaged_events() -> None:
    dice, seen = random.Random(3), Counter[str]()
    events = {name: load_event(name) for name in HANDLERS}
    for _ in range(5_000 * TIMES):
        name = dice.choice(list(HANDLERS))
        event = damaged_event(events[name], dice)
        start = time.perf_counter()
        response = HANDLERS[name](event, LocalContext(name))
        assert time.perf_counter() - start < HANG_SECONDS
        assert response["statusCode"] in {200, 201, 400, 404, 415}, event
        seen[f"{name} {response['statusCode']}"] += 1
    report("events", seen)
    assert {name.rpartition(" ")[0] for name in seen} == set(HANDLERS)


def test_damaged_idempotency_keys() -> None:
    dice, seen = random.Random(4), Counter[str]()
    for _ in range(5_000 * TIMES):
        key = damaged(b'"8e03978e-40d5-43dd-bc93-6894a57f9324"', dice)
        event = {"headers": {"idempotency-key": key.decode("latin-1")}}
        seen[survives(lambda event=event: requests.idempotency_key(event), key)] += 1  # type: ignore[misc]  # bound now
    report("keys", seen)
    assert set(seen) == {"accepted", "InvalidRequestError"}


def report(what: str, seen: Counter[str]) -> None:
    outcomes = ", ".join(f"{count:,} {name}" for name, count in seen.most_common())
    print(f"\n{what}: {seen.total():,}: {outcomes}")  # noqa: T201 - the output of the command

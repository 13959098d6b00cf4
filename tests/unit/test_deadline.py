import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from functions.get_image import app as get_image
from functions.list_images import app as list_images
from functions.upload_image import app as upload_image
from functions.upload_image import processing
from image_pipeline import clients, deadline, records
from tests.events import load_event, upload_event
from tests.image_records import IMAGE_ID, finished
from tests.pictures import scene_png
from tools.local_gateway import LocalContext

pytestmark = pytest.mark.usefixtures("aws")

TOO_LONG = {"current_status": "failure", "error": "The request took too long. Please try again."}


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Captions that do not end during the test."""
    end = threading.Event()

    class HangingCaptioner:
        def caption(self, _: Image.Image) -> str:
            end.wait(60)
            return ""

    monkeypatch.setattr(processing, "get_captioner", HangingCaptioner)
    yield
    end.set()


@pytest.mark.usefixtures("hanging")
def test_a_caption_that_hangs_becomes_a_clean_failure_in_time(
    table_items: Callable[[str], list[dict[str, Any]]], bucket_keys: Any
) -> None:
    # A second for the thumbnails and for the caption, the rest is kept for what must be stored.
    context = LocalContext("UploadImageFunction", seconds=clients.LONGEST_CALL_SECONDS + 2)
    answer = upload_image.lambda_handler(upload_event(scene_png()), context)
    assert (answer["statusCode"], json.loads(answer["body"])) == (503, TOO_LONG)
    assert answer["headers"]["Retry-After"] == "2"
    assert context.get_remaining_time_in_millis() > 0
    assert [item["status"] for item in table_items("IMAGE#")] == ["failure"]
    assert bucket_keys() == []
    assert records.statistics().failure == 1


@pytest.mark.parametrize(
    ("handler", "event"), [(get_image.lambda_handler, "get_image"), (list_images.lambda_handler, "list_images")]
)
def test_a_call_that_may_outlive_the_function_is_not_begun(handler: Callable[..., Any], event: str) -> None:
    records.save(finished(IMAGE_ID))
    late = LocalContext("late", seconds=clients.LONGEST_CALL_SECONDS - 0.1)
    answer = handler(load_event(event), late)
    assert (answer["statusCode"], json.loads(answer["body"])) == (503, TOO_LONG)
    assert handler(load_event(event), LocalContext("in time"))["statusCode"] == 200


@pytest.mark.usefixtures("hanging")
def test_a_failure_that_cannot_be_stored_in_time_is_left_to_the_sweeper(
    table_items: Callable[[str], list[dict[str, Any]]],
) -> None:
    context = LocalContext("UploadImageFunction", seconds=clients.LONGEST_CALL_SECONDS - 0.1)
    answer = upload_image.lambda_handler(upload_event(scene_png()), context)
    assert answer["statusCode"] == 503
    (item,) = table_items("")
    assert item["status"] == "processing"
    assert item["expires_at"] > time.time()


def test_an_invocation_has_the_time_that_lambda_gives_it() -> None:
    with deadline.of(LocalContext("UploadImageFunction", seconds=100_000)):
        assert 99_990 < deadline.remaining() <= 100_000
    assert deadline.remaining() == float("inf")


def test_outside_an_invocation_there_is_no_end() -> None:
    remaining: list[float] = []
    thread = threading.Thread(target=lambda: remaining.append(deadline.remaining()))
    thread.start()
    thread.join()
    assert remaining == [float("inf")]

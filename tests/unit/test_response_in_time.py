import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ConnectionClosedError
from PIL import Image

from functions.check_images import app as check_images
from functions.get_image import app as get_image
from functions.get_stats import app as get_stats
from functions.list_images import app as list_images
from functions.upload_image import app as upload_image
from image_pipeline import deadline
from image_pipeline.errors import DeadlineError, StorageError
from image_pipeline.models import SHARED, STANDARD_SIZES
from image_pipeline.storage import clients, records, table, thumbnail_store
from image_pipeline.threads import ThreadPool
from image_processing import captions
from image_processing.captions import Captioner
from tests.events import load_event, upload_event
from tests.pictures import scene_png
from tests.stored import bucket_keys, table_items
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")

STARTING = {"current_status": "failure", "error": "The service is starting. Please try again in a moment."}
TOO_LONG = {"current_status": "failure", "error": "The request took too long. Please try again."}
# Time for the thumbnails and the caption. The rest of SHORT is kept for storing the failure.
SECONDS_TO_CAPTION = 1
SHORT = clients.MAX_CALL_SECONDS + 1 + SECONDS_TO_CAPTION
EARLY = clients.MAX_CALL_SECONDS - 0.1


@pytest.fixture(autouse=True)
def loaded(aws: None) -> None:  # noqa: ARG001 - the model is found through its environment
    captions.get_captioner()


@pytest.fixture
def may_load(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """An environment that has just started. Its model is not loaded before the event is set."""
    event, load = threading.Event(), captions.Captioner

    def slow_load(folder: Path) -> Captioner:
        assert event.wait(60)
        return load(folder)

    captions.load_captioner.cache_clear()
    monkeypatch.setattr(captions, "Captioner", slow_load)
    yield event
    event.set()
    captions.get_captioner()


def upload(seconds: float, key: str | None = None) -> tuple[int, dict[str, Any], LocalContext]:
    context = LocalContext("UploadImageFunction", seconds=seconds)
    event = upload_event(scene_png())
    if key:
        event["headers"]["Idempotency-Key"] = key
    response = upload_image.lambda_handler(event, context)
    assert ("Retry-After" in response["headers"]) == (response["statusCode"] == 503)
    return response["statusCode"], json.loads(response["body"]), context


def assert_nothing_runs_on(before: set[threading.Thread]) -> None:
    for thread in set(threading.enumerate()) - before:
        thread.join(1)
        assert not thread.is_alive() or thread.name.startswith("model"), thread


def repeat_encoder(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make the encoder run until it is stopped. The time of the stop is added to the returned list."""
    ended: list[float] = []
    encoder = captions.get_captioner()._encoder  # noqa: SLF001 - the engine itself
    run_encoder = encoder.run_with_ort_values

    def run(*arguments: Any) -> Any:
        try:
            while True:
                run_encoder(*arguments)
        finally:
            ended.append(time.monotonic())

    monkeypatch.setattr(encoder, "run_with_ort_values", run)
    return ended


def repeat_decoder(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make the model write captions of 30 tokens until it is stopped. The time is added to the returned list."""
    ended: list[float] = []
    monkeypatch.setattr(captions.get_captioner(), "_special", captions.SpecialTokens(begin=2, end=-1))
    tokens = Captioner.tokens

    def endless(self: Captioner, pixels: Any, *arguments: Any) -> Any:
        try:
            while True:
                tokens(self, pixels, 30, 0, (), arguments[-1])
        finally:
            ended.append(time.monotonic())

    monkeypatch.setattr(Captioner, "tokens", endless)
    return ended


@pytest.mark.parametrize("endless", [repeat_encoder, repeat_decoder])
def test_a_caption_that_takes_too_long_is_ended_and_the_failure_is_stored_in_time(
    monkeypatch: pytest.MonkeyPatch,
    endless: Callable[[pytest.MonkeyPatch], list[float]],
) -> None:
    ended = endless(monkeypatch)
    before = set(threading.enumerate())
    start = time.monotonic()
    status, body, context = upload(SHORT)
    assert (status, body) == (503, TOO_LONG)
    assert context.get_remaining_time_in_millis() > 0
    # The engine got its full time, and was stopped before the response.
    assert SECONDS_TO_CAPTION - 0.1 < ended[0] - start < SECONDS_TO_CAPTION + 1
    assert_nothing_runs_on(before)
    assert [item["status"] for item in table_items("IMAGE#")] == ["failure"]
    assert bucket_keys() == []
    assert records.statistics(SHARED).failure == 1


def test_the_next_caption_on_the_same_container_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        repeat_decoder(patched)
        assert upload(SHORT)[0] == 503
    status, body, _ = upload(29)
    assert status == 200
    assert body["data"]["caption"] == "a large red circle left of a small blue square on a white background"


def test_a_caption_without_time_is_ended_at_once() -> None:
    model = captions.get_captioner()
    with deadline.of({}, LocalContext("UploadImageFunction", seconds=0)), pytest.raises(DeadlineError):
        model.caption(Image.new("RGB", (96, 96)))


@pytest.mark.parametrize("key", [None, "a-key"])
def test_a_model_that_loads_too_slowly_is_no_failure_and_serves_the_next_request(
    may_load: threading.Event, key: str | None
) -> None:
    status, body, context = upload(SHORT, key)
    assert (status, body) == (503, STARTING)
    assert context.get_remaining_time_in_millis() > 0
    # The claim is given back. The removal of the image item makes the stream delete the thumbnails.
    assert table_items("") == []
    may_load.set()
    assert upload(29, key)[0] == 200
    assert captions.load_captioner.cache_info().currsize == 1
    assert (records.statistics(SHARED).success, records.statistics(SHARED).failure) == (1, 0)


def test_a_caption_that_begins_late_because_the_model_was_loading_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, may_load: threading.Event
) -> None:
    may_load.set()
    monkeypatch.setattr(Captioner, "caption", Mock(side_effect=DeadlineError))
    assert upload(29)[:2] == (503, STARTING)
    assert table_items("") == []
    # Now the model is loaded, so a request that takes too long is a failure.
    assert upload(29)[:2] == (503, TOO_LONG)
    assert [item["status"] for item in table_items("IMAGE#")] == ["failure"]


def test_a_claim_that_cannot_be_given_back_ends_as_that_of_a_killed_upload(
    monkeypatch: pytest.MonkeyPatch, may_load: threading.Event
) -> None:
    monkeypatch.setattr(table, "write", Mock(side_effect=StorageError))
    assert upload(SHORT, "a-key")[:2] == (503, STARTING)
    assert not may_load.is_set()
    (image,), (request,) = table_items("IMAGE#"), table_items("REQUEST#")
    assert (image["status"], request["status"]) == ("processing", "processing")
    assert image["expires_at"] < time.time() + 3601
    assert len(bucket_keys()) == len(STANDARD_SIZES)


@pytest.mark.parametrize("applied", [False, True])
def test_a_lost_reply_is_no_reason_to_keep_the_claim(
    monkeypatch: pytest.MonkeyPatch, may_load: threading.Event, *, applied: bool
) -> None:
    send = clients.dynamodb().transact_write_items

    def lose(**arguments: Any) -> None:
        if applied:
            send(**arguments)
        raise ConnectionClosedError(endpoint_url="test")

    monkeypatch.setattr(clients.dynamodb(), "transact_write_items", lose)
    assert upload(SHORT, "a-key")[:2] == (503, STARTING)
    assert not may_load.is_set()
    assert len(table_items("")) == (0 if applied else 2)


def test_a_model_that_cannot_be_loaded_is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    captions.load_captioner.cache_clear()
    with monkeypatch.context() as patched:
        patched.setenv("MODEL_PATH", "/nowhere")
        response = upload_image.lambda_handler(upload_event(scene_png()), LocalContext("UploadImageFunction"))
    assert response["statusCode"] == 500
    assert [item["status"] for item in table_items("IMAGE#")] == ["failure"]


@pytest.mark.parametrize(
    ("handler", "event"),
    [
        (get_image.lambda_handler, "get_image"),
        (list_images.lambda_handler, "list_images"),
        (check_images.lambda_handler, "check_images"),
        (get_stats.lambda_handler, "get_stats"),
    ],
)
def test_a_call_that_may_take_longer_than_the_function_is_not_made(handler: Callable[..., Any], event: str) -> None:
    store_sample(sample_image(IMAGE_ID))
    late = LocalContext("late", seconds=EARLY)
    response = handler(load_event(event), late)
    assert (response["statusCode"], json.loads(response["body"])) == (503, TOO_LONG)
    assert handler(load_event(event), LocalContext("in time"))["statusCode"] == 200


@pytest.mark.parametrize(
    "call",
    [
        partial(thumbnail_store.put, "key.png", b""),
        partial(thumbnail_store.delete_all, IMAGE_ID),
        partial(records.get, SHARED, IMAGE_ID),
        partial(records.find_all, SHARED, [IMAGE_ID]),
        partial(records.statistics, SHARED),
        partial(records.newest, SHARED, 50),
        partial(store_sample, sample_image(IMAGE_ID)),
    ],
)
@pytest.mark.usefixtures("new_clients")
def test_no_client_begins_a_call_too_late_in_any_thread_of_a_pool(call: Callable[[], object]) -> None:
    sent: list[str] = []
    for client in (clients.dynamodb(), clients.s3()):
        client.meta.events.register("before-send", lambda event_name, **_: sent.append(event_name))
    with deadline.of({}, LocalContext("late", seconds=EARLY)):
        with pytest.raises(DeadlineError):
            call()
        with ThreadPool(1) as pool, pytest.raises(DeadlineError):
            pool.submit(call).result()
    assert sent == []


@pytest.mark.usefixtures("new_clients")
def test_an_upload_without_time_begins_no_call() -> None:
    sent: list[str] = []
    for client in (clients.dynamodb(), clients.s3()):
        client.meta.events.register("before-send", lambda event_name, **_: sent.append(event_name))
    # The start of the environment took the time of the request before the function saw it.
    status, body, _ = upload(9)
    assert (status, body) == (503, STARTING)
    assert sent == []
    assert table_items("") == []
    assert bucket_keys() == []


def test_a_failure_that_cannot_be_stored_in_time_is_left_to_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, late = thumbnail_store.put, threading.Event()
    left = threading.Semaphore(0)

    def put(key: str, content: bytes) -> None:
        stored(key, content)
        left.release()

    class SlowCaptioner:
        def caption(self, *_: object) -> captions.Caption:
            for _thumbnail in STANDARD_SIZES:
                assert left.acquire(timeout=10)
            late.set()
            raise DeadlineError

    monkeypatch.setattr(thumbnail_store, "put", put)
    monkeypatch.setattr(captions, "get_captioner", SlowCaptioner)
    monkeypatch.setattr(deadline, "remaining", lambda: EARLY if late.is_set() else 29)
    assert upload(29)[0] == 503
    (item,) = table_items("")
    assert item["status"] == "processing"
    assert item["expires_at"] > time.time()
    assert len(bucket_keys()) == len(STANDARD_SIZES)


def test_thumbnails_that_cannot_be_deleted_in_time_are_left_to_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    late = threading.Event()
    fail = records.fail

    def slow_save(*arguments: Any) -> None:
        fail(*arguments)
        late.set()

    monkeypatch.setattr(records, "fail", slow_save)
    monkeypatch.setattr(Captioner, "caption", Mock(side_effect=DeadlineError))
    monkeypatch.setattr(deadline, "remaining", lambda: EARLY if late.is_set() else 29)
    assert upload(29)[:2] == (503, TOO_LONG)
    (item,) = table_items("IMAGE#")
    assert (item["status"], len(bucket_keys())) == ("failure", len(STANDARD_SIZES))


def test_a_request_that_waited_too_long_for_its_function_is_refused_before_any_call() -> None:
    store_sample(sample_image(IMAGE_ID))
    event = load_event("get_image")
    event["requestContext"]["requestTimeEpoch"] = int((time.time() - 20) * 1000)
    response = get_image.lambda_handler(event, LocalContext("after a cold start"))
    assert (response["statusCode"], json.loads(response["body"])) == (503, TOO_LONG)

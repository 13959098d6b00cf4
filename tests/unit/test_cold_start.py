import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import snapshot_restore_py

from image_pipeline.storage import clients
from image_processing import captions, cold_start
from image_processing.captions import Captioner

pytestmark = pytest.mark.usefixtures("new_clients", "forgotten_model")

KIND = "AWS_LAMBDA_INITIALIZATION_TYPE"


@pytest.fixture
def forgotten_model() -> Iterator[None]:
    captions.load_captioner.cache_clear()
    yield
    captions.load_captioner.cache_clear()


@pytest.fixture(autouse=True)
def function_name(new_clients: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    # Lambda always sets this variable.
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "UploadImageFunction")


def sizes(captioned: Mock) -> list[tuple[int, int]]:
    """Return the sizes of the images that were captioned."""
    return [call.args[1].size for call in captioned.call_args_list]


def models_loaded() -> int:
    return captions.load_captioner.cache_info().currsize


def clients_made() -> int:
    return clients.s3.cache_info().currsize + clients.dynamodb.cache_info().currsize


def test_outside_lambda_nothing_is_loaded() -> None:
    cold_start.prepare()
    assert models_loaded() == 0
    assert clients_made() == 0


def test_on_demand_the_model_loads_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KIND, "on-demand")
    may_load, load = threading.Event(), captions.Captioner
    threads: list[str] = []

    def slow_load(folder: Any) -> Captioner:
        assert may_load.wait(10)
        threads.append(threading.current_thread().name)
        return load(folder)

    monkeypatch.setattr(captions, "Captioner", slow_load)
    cold_start.prepare()
    # Init ends before the model is loaded. The handler waits for this model and does not load a second one.
    assert models_loaded() == 0
    assert clients_made() == 2
    may_load.set()
    assert captions.get_captioner().model.id == "demo"
    assert threads == ["model_0"]


def test_a_failed_background_load_is_raised_in_the_handler_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KIND, "on-demand")
    with monkeypatch.context() as patched:
        patched.setenv("MODEL_PATH", "/nowhere")
        cold_start.prepare()
        with pytest.raises(captions.ModelFolderError):
            captions.get_captioner()
    assert captions.get_captioner().model.id == "demo"


def test_with_provisioned_concurrency_init_ends_with_a_warm_engine(
    monkeypatch: pytest.MonkeyPatch, captioned: Mock
) -> None:
    monkeypatch.setenv(KIND, "provisioned-concurrency")
    cold_start.prepare()
    assert models_loaded() == 1
    assert clients_made() == 2
    assert sizes(captioned) == [(1, 1)]


def test_under_snapstart_the_engine_is_warm_before_the_snapshot(
    monkeypatch: pytest.MonkeyPatch, captioned: Mock
) -> None:
    monkeypatch.setenv(KIND, "snap-start")
    hooks: list[Callable[[], None]] = []
    monkeypatch.setattr(snapshot_restore_py, "register_before_snapshot", hooks.append)
    cold_start.prepare()
    assert sizes(captioned) == []
    (before_snapshot,) = hooks
    before_snapshot()
    assert sizes(captioned) == [(1, 1)]
    assert clients_made() == 2


def test_threads_share_one_model() -> None:
    loaded: list[Captioner] = []
    threads = [threading.Thread(target=lambda: loaded.append(captions.get_captioner())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(model) for model in loaded}) == 1

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from image_pipeline import settings
from image_pipeline.errors import CaptionError
from image_processing import pictures
from image_processing.captions import MAX_PROMPT_TOKENS, Captioner, ModelFolderError, get_captioner, input_side
from tests.pictures import RED_LEFT_OF_BLUE, encode
from tools.demo_model import scenes
from tools.local.server import DEMO_MODEL

pytestmark = pytest.mark.usefixtures("aws")

HELD_OUT_SCENES = 100
PHOTOS = Path(__file__).parent.parent / "photos"


def test_scenes_outside_the_training_data_are_captioned_right() -> None:
    rng = random.Random("unit test")
    held_out = [scenes.random_scene(rng) for _ in range(HELD_OUT_SCENES)]
    right = sum(get_captioner().caption(scenes.draw(scene, rng)).text == scene.caption for scene in held_out)
    # The training tests the model with 1,000 scenes. This test finds a broken engine, not a rare wrong caption.
    assert right >= 0.95 * HELD_OUT_SCENES


def test_a_caption_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_CAPTION_TOKENS", "3")
    assert get_captioner().caption(scenes.draw(RED_LEFT_OF_BLUE)).text == "a large red"


def test_a_prompt_of_any_length_leaves_room_for_the_caption(monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = get_captioner()
    monkeypatch.setattr(captioner, "_special", replace(captioner._special, end=-1))  # noqa: SLF001 - it never ends
    prompt = captioner.prompt_tokens("a " * 300)
    assert len(prompt) == MAX_PROMPT_TOKENS
    pixels = captioner.preprocess(scenes.draw(RED_LEFT_OF_BLUE))
    assert len(captioner.tokens(pixels, settings.MAX_CAPTION_TOKENS, prompt=prompt)[0]) == settings.MAX_CAPTION_TOKENS


def test_the_confidence_is_the_mean_probability_of_the_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities = ([0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5])

    def logits(*_: object) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
        for row in probabilities:
            yield np.log(np.array([row], np.float32)) + 7

    captioner = get_captioner()
    monkeypatch.setattr(Captioner, "logits", logits)
    monkeypatch.setattr(captioner, "_special", replace(captioner._special, end=2))  # noqa: SLF001
    monkeypatch.setattr(Captioner, "text", lambda *_: "a caption")
    assert captioner.caption(scenes.draw(RED_LEFT_OF_BLUE)).confidence == Decimal(
        "0.5848"
    )  # (0.5 * 0.8 * 0.5) ** (1/3)


def test_a_scene_is_captioned_with_more_confidence_than_noise() -> None:
    noise = Image.effect_noise((240, 180), 200).convert("RGB")
    scene = scenes.draw(RED_LEFT_OF_BLUE)
    assert get_captioner().caption(noise).confidence < get_captioner().caption(scene).confidence


def force_tokens(monkeypatch: pytest.MonkeyPatch, tokens: list[int]) -> None:
    """Make the decoder choose these tokens, one after the other, and then the end token."""
    end = json.loads((DEMO_MODEL / "model.json").read_text())["special_tokens"]["end"]

    def logits(*_: object) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
        for token in [*tokens, end]:
            yield np.eye(len(scenes.WORDS) + 4, dtype=np.float32)[[token]]

    monkeypatch.setattr(Captioner, "logits", logits)


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ([5, 6, 7], [5, 6, 7]),
        ([5, 5, 6], [5, 5, 6]),
        ([5, 6, 7, 8, 5, 6, 7, 8], [5, 6, 7, 8, 5, 6, 7, 8]),
        ([5, 6, 5, 6, 7, 5, 6], [5, 6, 5, 6, 7, 5, 6]),
        ([5, 6, 6, 6, 7], [5, 6]),
        ([6, 6, 6, 6], [6]),
        ([5, 6, 7, 6, 7, 6, 7, 6, 7], [5, 6, 7]),
        ([9, 5, 6, 7, 5, 6, 7, 5, 6, 7, 8], [9, 5, 6, 7]),
    ],
)
def test_a_loop_is_kept_once_and_ends_the_caption(
    monkeypatch: pytest.MonkeyPatch, wanted: list[int], kept: list[int]
) -> None:
    force_tokens(monkeypatch, wanted)
    pixels = np.zeros((1, 3, 96, 96), np.float32)
    tokens, log_probabilities = get_captioner().tokens(pixels, 20, max_repeats=2)
    assert tokens == kept
    # Unless the caption was cut at a loop, the last log probability belongs to the token that ends the caption.
    assert len(log_probabilities) == len(kept) + (wanted == kept)
    force_tokens(monkeypatch, wanted)
    assert get_captioner().tokens(pixels, 20)[0] == wanted


def test_the_guard_against_loops_changes_no_caption_of_a_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random("guard")
    drawn = [scenes.draw(scenes.random_scene(rng), rng) for _ in range(HELD_OUT_SCENES)]
    guarded = [get_captioner().caption(scene).text for scene in drawn]
    monkeypatch.setenv("MAX_CAPTION_REPEATS", "0")
    assert guarded == [get_captioner().caption(scene).text for scene in drawn]


def test_a_model_that_cannot_end_loops_only_without_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = get_captioner()
    monkeypatch.setattr(captioner, "_special", replace(captioner._special, end=-1))  # noqa: SLF001
    pixels = captioner.preprocess(Image.open(PHOTOS / "chelsea.png").convert("RGB"))
    guarded, _ = captioner.tokens(pixels, 60, max_repeats=2)
    assert len(guarded) < 60
    assert len(captioner.tokens(pixels, 60)[0]) == 60


def test_pixels_are_squashed_scaled_and_normalised() -> None:
    preprocess = get_captioner().preprocess
    pixels = preprocess(Image.new("RGB", (300, 100), (255, 0, 51)))
    assert pixels.shape == (1, 3, preprocess.size, preprocess.size)
    assert pixels.dtype == np.float32
    expected = [
        (value - mean) / std for value, mean, std in zip((1, 0, 0.2), preprocess.mean, preprocess.std, strict=True)
    ]
    assert np.allclose(pixels.mean(axis=(0, 2, 3)), expected, atol=1e-5)


def twelve_megapixels(image: Image.Image, size: tuple[int, int] = (4000, 3000)) -> tuple[Image.Image, Image.Image]:
    """Make a JPEG of 12 megapixels from `image`. Return it twice: decoded by the pipeline, and decoded in full size."""
    content = encode(image.convert("RGB").resize(size, Image.Resampling.BICUBIC), "JPEG", quality=90)
    in_part = pictures.flatten(pictures.decode(content, datetime.now(UTC), settings.max_image_pixels()))
    assert in_part.width <= size[0] / 2
    return in_part, Image.open(BytesIO(content))


# Some sides are multiples of four. The others end with a part of a pixel after reduction.
@pytest.mark.parametrize("size", [(4000, 3000), (4032, 3024), (4000, 2663), (4001, 2999), (2663, 4000)])
@pytest.mark.parametrize("name", ["astronaut.jpg", "chelsea.png", "coffee.jpg", "rocket.jpg"])
def test_decoding_a_large_jpeg_in_part_hardly_changes_the_models_input(name: str, size: tuple[int, int]) -> None:
    in_part, in_full = twelve_megapixels(Image.open(PHOTOS / name), size)
    preprocess = get_captioner().preprocess
    error = (preprocess(in_part) - preprocess(in_full)) * np.array(preprocess.std).reshape(1, 3, 1, 1)
    assert -10 * np.log10(np.mean(error**2)) >= 45


def test_decoding_a_large_jpeg_in_part_changes_no_caption() -> None:
    # Only scenes: on photographs the demo model repeats words, and any pixel can change such a caption.
    rng = random.Random("large")
    for scene in (scenes.random_scene(rng) for _ in range(5)):
        in_part, in_full = twelve_megapixels(scenes.draw(scene, rng))
        assert get_captioner().caption(in_part).text == get_captioner().caption(in_full).text == scene.caption


def test_a_failing_engine_raises_a_caption_error(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_shape = np.zeros((1, 3, 5, 5), np.float32)
    monkeypatch.setattr(type(get_captioner().preprocess), "__call__", lambda *_: wrong_shape)
    with pytest.raises(CaptionError):
        get_captioner().caption(scenes.draw(RED_LEFT_OF_BLUE))


def test_the_engine_has_no_telemetry(tmp_path: Path) -> None:
    # Telemetry would store an identifier in the home directory. The variable CI also turns telemetry off,
    # so the test removes this variable.
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    code = "from image_processing.captions import get_captioner; get_captioner()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_the_demo_model_says_what_it_is_and_is_complete() -> None:
    described = json.loads((DEMO_MODEL / "model.json").read_text())
    assert described["id"] == "demo"
    assert "Not BLIP-base" in described["note"]
    files = {path.name for path in DEMO_MODEL.iterdir()} - {"model.json"}
    assert files == set(described["files"])
    for name, digest in described["files"].items():
        assert sha256((DEMO_MODEL / name).read_bytes()).hexdigest() == digest
    assert sum(path.stat().st_size for path in DEMO_MODEL.iterdir()) <= 8_000_000


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def cut(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:100])

    return damage


def for_another_release(folder: Path) -> None:
    described = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(described | {"onnxruntime": "0.0.0"}))


@pytest.mark.parametrize(
    "damage",
    [
        for_another_release,
        remove("model.json"),
        remove("encoder.onnx"),
        remove("decoder.onnx.data"),
        remove("tokenizer.json"),
        cut("model.json"),
        cut("decoder.onnx"),
        cut("encoder.onnx.data"),
    ],
)
def test_the_error_for_a_damaged_folder_names_the_folder_and_the_remedy(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(DEMO_MODEL, folder)
    damage(folder)
    with pytest.raises(ModelFolderError, match=r"is not a usable model folder .* make model"):
        Captioner(folder)


def test_the_side_of_the_input_is_known_before_the_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert input_side() == get_captioner().preprocess.size
    monkeypatch.setenv("MODEL_PATH", "/nowhere")
    assert input_side() == 0

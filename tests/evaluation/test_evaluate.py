"""Scores of exported models on drawn scenes whose correct captions are known."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tools import template
from tools.demo_model import scenes
from tools.local.server import DEMO_MODEL
from tools.measure import evaluate

SCENE_COUNT = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes in `images`, their captions in `captions.json`, and in `other` a model that sees wrong colours."""
    folder = tmp_path_factory.mktemp("evaluation")
    rng = random.Random("evaluation")
    (folder / "images").mkdir()
    content: dict[str, Any] = {"images": [], "annotations": []}
    for number in range(SCENE_COUNT):
        scene = scenes.random_scene(rng)
        scenes.draw(scene, rng).save(folder / "images" / f"{number}.png")
        content["images"].append({"id": number, "file_name": f"{number}.png"})
        for text in (f"{scene.caption}.", "some shapes"):
            content["annotations"].append({"image_id": number, "caption": text})
    (folder / "captions.json").write_text(json.dumps(content))
    other = Path(shutil.copytree(DEMO_MODEL, folder / "other"))
    described = json.loads((other / "model.json").read_text())
    described["preprocessing"]["mean"][0] += 1
    (other / "model.json").write_text(json.dumps(described | {"id": "other"}))
    return folder


def test_a_model_that_is_right_has_the_highest_scores(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No Java of the machine is needed.
    monkeypatch.setenv("PATH", "")
    references = evaluate.read_references(folder / "captions.json", folder / "images")
    (_, right), (_, wrong) = evaluate.evaluate(references, [DEMO_MODEL, folder / "other"])
    assert right.bleu4 > 0.97
    # 10 is the score of a caption that is equal to its only reference. The second reference here halves it.
    assert right.cider > 4.5
    assert right.agreement == 1
    assert wrong.agreement < 0.5
    assert wrong.bleu4 < 0.8 * right.bleu4
    assert wrong.cider < 0.5 * right.cider


def test_the_command_prints_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(folder / "images"), str(folder / "captions.json"), str(DEMO_MODEL), str(folder / "other")]
    assert evaluate.main(arguments) == 0
    progress, _, header, first, second = capsys.readouterr().out.splitlines()
    assert progress == f"fp32: {SCENE_COUNT} of {SCENE_COUNT} images, 0 s left"
    assert header.split() == ["model", "precision", "CIDEr-D", "BLEU-4", "equal", "ms"]
    assert first.split()[:2] == ["demo", "fp32"]
    assert first.split()[4] == "100.0%"
    assert second.split()[0] == "other"


def test_captions_have_the_limits_of_the_template() -> None:
    parameters = template.read()["Parameters"]
    defaults = (parameters["MaxCaptionTokens"]["Default"], parameters["MaxCaptionRepeats"]["Default"])
    assert defaults == (evaluate.MAX_TOKENS, evaluate.MAX_REPEATS)


def refused(capsys: pytest.CaptureFixture[str], *arguments: Path) -> str:
    """Return the only line of an evaluation that fails."""
    assert evaluate.main([str(argument) for argument in arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("content", ["", "[]", '{"images": []}', '{"images": [{"id": 1}], "annotations": []}'])
def test_a_file_that_is_not_in_the_coco_format(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "captions.json").write_text(content)
    assert "is not in the COCO format" in refused(capsys, tmp_path, tmp_path / "captions.json", DEMO_MODEL)


def test_missing_captions_images_and_models(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, captions = folder / "images", folder / "captions.json"
    assert "No such file" in refused(capsys, images, tmp_path / "none.json", DEMO_MODEL)
    assert f"{SCENE_COUNT} of {SCENE_COUNT} images do not exist" in refused(capsys, tmp_path, captions, DEMO_MODEL)
    assert "is not a usable model folder" in refused(capsys, images, captions, tmp_path)
    one = {"images": [{"id": 1, "file_name": "0.png"}], "annotations": [{"image_id": 1, "caption": "a"}]}
    (tmp_path / "one.json").write_text(json.dumps(one))
    assert "at least 2" in refused(capsys, images, tmp_path / "one.json", DEMO_MODEL)


def test_an_image_that_cannot_be_read(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(folder / "images", tmp_path / "images")
    (tmp_path / "images" / "3.png").write_bytes(b"no image")
    assert "3.png cannot be read" in refused(capsys, tmp_path / "images", folder / "captions.json", DEMO_MODEL)

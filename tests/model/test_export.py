"""Compares exported models with transformers.

The models are the demo model, and a model with random weights and the size of BLIP-base.
"""

import json
import os
import shutil
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from transformers import BlipForConditionalGeneration

from image_processing.captions import Captioner
from tools.exporter import graphs, precisions
from tools.exporter.__main__ import SAMPLES, main
from tools.measure.random_blip import BLIP_BASE_CONFIG, write_random_blip

DEMO = Path(__file__).parent / "demo_blip"
PHOTOS = Path(__file__).parent.parent / "photos"
# The number of samples for the model of full size. Each sample takes ten seconds.
PICTURES = int(os.environ.get("PICTURES", "4"))


def described(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return content


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model, exported in fp32 and compared on all samples."""
    folder = tmp_path_factory.mktemp("demo") / "model"
    assert main([str(DEMO), str(folder), "--precision", "fp32"]) == 0
    return folder


def test_the_demo_model_matches_transformers_on_every_step(demo: Path) -> None:
    parity = described(demo)["precisions"]["fp32"]
    assert parity["images"] == len(list(SAMPLES.glob("*.jpg"))) + len(list(SAMPLES.glob("*.png")))
    assert parity["steps"] > 8 * parity["images"]
    assert parity["logit_difference"] <= 1e-3
    assert parity["pixel_difference"] <= 1 / 255
    assert parity["identical_captions"] == parity["images"]


def test_the_samples_have_enough_photographs() -> None:
    photographs = list(SAMPLES.glob("*.jpg"))
    assert len(photographs) >= 24
    named = (SAMPLES / "README.md").read_text()
    assert all(f"`{path.name}`" in named for path in photographs)


def test_the_committed_demo_model_matches_a_new_export(demo: Path) -> None:
    committed = Path("tools/demo_model/model")
    assert described(demo)["precision"] == described(committed)["precision"]
    scene = Image.open(PHOTOS / "coffee.jpg")
    ours, theirs = Captioner(demo), Captioner(committed)
    assert ours.tokens(ours.preprocess(scene), 20) == theirs.tokens(theirs.preprocess(scene), 20)
    for name in ("encoder.onnx.data", "decoder.onnx.data"):
        assert (demo / name).read_bytes() == (committed / name).read_bytes()


def test_the_model_of_full_size_has_the_shape_of_blip_base() -> None:
    # The digest of config.json at the pinned revision on the hub.
    digest = "f7846f82f4e2c4a2ccbab9ae8b0e44873540a271a76a1288effd078180c13a82"
    assert sha256(BLIP_BASE_CONFIG.read_bytes()).hexdigest() == digest


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder in Hugging Face format, with random weights and exactly the size of BLIP-base."""
    folder = tmp_path_factory.mktemp("full-size")
    write_random_blip(folder)
    return folder


@pytest.fixture(scope="module")
def exported_full_size(full_size: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of full size, exported and compared in each precision."""
    samples = tmp_path_factory.mktemp("samples")
    paths = sorted([*SAMPLES.glob("*.jpg"), *SAMPLES.glob("*.png")])
    for path in paths[:: ceil(len(paths) / PICTURES)]:
        shutil.copy(path, samples)
    folder = tmp_path_factory.mktemp("exported") / "model"
    assert main([str(full_size), str(folder), "--samples", str(samples)]) == 0
    return folder


def test_a_model_of_full_size_is_checked_in_each_precision(exported_full_size: Path) -> None:
    model = described(exported_full_size)
    exact, reduced = model["precisions"]["fp32"], model["precisions"]["int8"]
    assert exact["images"] > 1
    assert exact["steps"] == 20 * exact["images"]
    assert exact["logit_difference"] <= 1e-3
    assert exact["identical_captions"] == exact["images"]
    # With random weights all logits are similar, so the small differences of int8 change captions.
    # So the gate must refuse int8 here.
    assert reduced["logit_difference"] <= 0.5
    assert not reduced["passes"]
    assert model["precision"] == "fp32"


def of_transformers(model: BlipForConditionalGeneration, pixels: Any, prompt: list[int], max_tokens: int) -> list[int]:
    """Return the tokens of conditional captioning by transformers, after those of the prompt."""
    # The processor of transformers puts a token before and after the prompt. The first is replaced, the last removed.
    ids = torch.tensor([[0, *prompt, 0]])
    options = {"num_beams": 1, "do_sample": False, "max_new_tokens": max_tokens, "max_length": None}
    generated = model.generate(torch.from_numpy(pixels), ids, torch.ones_like(ids), **options)
    written: list[int] = generated[0, 1 + len(prompt) :].tolist()
    end = model.config.text_config.sep_token_id
    return written[: written.index(end)] if end in written else written


@pytest.mark.parametrize(
    ("source", "exported", "prompts"),
    [
        (None, "demo", ["a", "a small", "a large blue square above", "a dark photograph"]),
        ("full_size", "exported_full_size", [[7], [2000, 30, 29999]]),
    ],
    ids=["demo", "full size"],
)
def test_a_prompt_is_continued_as_by_transformers(
    request: pytest.FixtureRequest, source: str | None, exported: str, prompts: list[Any]
) -> None:
    folder = request.getfixturevalue(source) if source else DEMO
    model = BlipForConditionalGeneration.from_pretrained(folder).float().eval()
    captioner = Captioner(request.getfixturevalue(exported))
    for name in ("scene-01.png", "coffee.jpg"):
        pixels = captioner.preprocess(Image.open(SAMPLES / name).convert("RGB"))
        for prompt in prompts:
            # The random model has no tokenizer for text.
            tokens = prompt if source else captioner.prompt_tokens(prompt)
            assert captioner.tokens(pixels, 20, prompt=tokens)[0] == of_transformers(model, pixels, tokens, 20)


def test_the_confidence_is_that_of_the_scores_of_transformers(demo: Path) -> None:
    model, captioner = BlipForConditionalGeneration.from_pretrained(DEMO).float().eval(), Captioner(demo)
    for name in ("scene-01.png", "coffee.jpg"):
        pixels = captioner.preprocess(Image.open(SAMPLES / name).convert("RGB"))
        options = {"num_beams": 1, "do_sample": False, "max_new_tokens": 20, "max_length": None}
        written = model.generate(torch.from_numpy(pixels), output_scores=True, return_dict_in_generate=True, **options)
        scores = model.text_decoder.compute_transition_scores(written.sequences, written.scores, normalize_logits=True)
        _, log_probabilities = captioner.tokens(pixels, 20)
        assert log_probabilities == pytest.approx(scores[0].tolist(), abs=1e-3)


def test_no_weight_is_stored_twice(full_size: Path, exported_full_size: Path) -> None:
    model = BlipForConditionalGeneration.from_pretrained(full_size)
    stored = sum(size(exported_full_size, name) for name in ("encoder", "decoder"))
    # The pooler is not exported, because captions do not need it.
    unused = sum(weight.nbytes for name, weight in model.named_parameters() if "pooler" in name)
    needed = sum(weight.nbytes for weight in model.parameters()) - unused
    assert stored <= 1.01 * needed


def test_a_wrong_graph_is_refused_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_graphs = graphs.write_graphs

    def write_wrong_graphs(model: Any, folder: Path) -> None:
        with torch.no_grad():
            model.text_decoder.cls.predictions.decoder.bias[5] += 0.01
            write_graphs(model, folder)
            model.text_decoder.cls.predictions.decoder.bias[5] -= 0.01

    monkeypatch.setattr(graphs, "write_graphs", write_wrong_graphs)
    assert main([str(DEMO), str(tmp_path / "model")]) == 1
    assert "the logits differ by 1.0" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class TestPrecisions:
    # A part of the samples, to save time.
    @pytest.fixture
    def scenes(self, tmp_path: Path) -> Path:
        folder = tmp_path / "scenes"
        folder.mkdir()
        for path in SAMPLES.glob("scene-*.png"):
            shutil.copy(path, folder)
        return folder

    def test_the_fastest_precision_that_passes_is_kept_with_all_figures(self, tmp_path: Path) -> None:
        assert main([str(DEMO), str(tmp_path / "model")]) == 0
        model = described(tmp_path / "model")
        assert list(model["precisions"]) == ["fp32", "int8-decoder", "int8"]
        assert model["chosen_by"] == "gate"
        assert model["precision"] == "int8"
        figures = model["precisions"]["int8"]
        assert figures["passes"]
        assert figures["identical_captions"] >= 0.95 * figures["images"]
        assert figures["token_edit_distance"] <= 0.02
        assert figures["logit_difference"] > 0
        captioner = Captioner(tmp_path / "model")
        assert captioner.model.precision == "int8"
        assert captioner.preprocess.size == 96

    def test_a_forced_precision_is_kept_although_it_does_not_pass(self, scenes: Path, tmp_path: Path) -> None:
        arguments = [str(DEMO), str(tmp_path / "model"), "--samples", str(scenes), "--agreement", "1.01"]
        assert main([*arguments, "--precision", "int8-decoder"]) == 0
        model = described(tmp_path / "model")
        assert model["precision"] == "int8-decoder"
        assert model["chosen_by"] == "user"
        assert list(model["precisions"]) == ["fp32", "int8-decoder"]
        assert not model["precisions"]["int8-decoder"]["passes"]
        fp32 = Path("tools/demo_model/model")
        assert size(tmp_path / "model", "encoder") == size(fp32, "encoder")
        assert size(tmp_path / "model", "decoder") < 0.5 * size(fp32, "decoder")

    @pytest.mark.parametrize(("broken", "kept"), [("encoder", "int8-decoder"), ("decoder", "fp32")])
    def test_a_broken_precision_is_rejected(
        self, monkeypatch: pytest.MonkeyPatch, scenes: Path, tmp_path: Path, broken: str, kept: str
    ) -> None:
        write_int8 = precisions.write_int8

        def write_broken(fp32: Path, path: Path) -> None:
            write_int8(fp32, path)
            if path.stem == broken:
                graph = onnx.load(path)
                scale = max(
                    (weight for weight in graph.graph.initializer if weight.name.endswith("_scale")),
                    key=lambda weight: weight.dims[0] if weight.dims else 0,
                )
                scale.CopyFrom(onnx.numpy_helper.from_array(-3 * onnx.numpy_helper.to_array(scale), scale.name))
                graphs.save(graph, path)

        monkeypatch.setattr(precisions, "write_int8", write_broken)
        assert main([str(DEMO), str(tmp_path / "model"), "--samples", str(scenes)]) == 0
        model = described(tmp_path / "model")
        assert not model["precisions"]["int8"]["passes"]
        assert model["precision"] == kept

    def test_a_stricter_gate_refuses_a_precision_that_the_default_accepts(self, scenes: Path, tmp_path: Path) -> None:
        arguments = [str(DEMO), str(tmp_path / "model"), "--samples", str(scenes), "--agreement", "1.01"]
        assert main(arguments) == 0
        assert described(tmp_path / "model")["precision"] == "fp32"

    def test_no_weight_can_overflow_on_a_cpu_without_vnni(self, tmp_path: Path) -> None:
        graphs.write_graphs(BlipForConditionalGeneration.from_pretrained(DEMO).eval().float(), tmp_path)
        quantised = 0
        for name in ("encoder", "decoder"):
            path = tmp_path / f"{name}-int8.onnx"
            precisions.write_int8(tmp_path / f"{name}.onnx", path)
            for weight in onnx.load(path).graph.initializer:
                if weight.name.endswith("_quantized"):
                    values = onnx.numpy_helper.to_array(weight)
                    # AVX2 multiplies two activations (at most 255) by two weights, and adds the products in 16 bits.
                    assert 2 * 255 * int(np.abs(values.astype(np.int32)).max()) <= np.iinfo(np.int16).max
                    quantised += values.size
        model = BlipForConditionalGeneration.from_pretrained(DEMO)
        assert quantised > 0.8 * sum(weight.numel() for name, weight in model.named_parameters() if weight.ndim == 2)

    def test_the_embedding_is_stored_once_in_int8_too(self, tmp_path: Path) -> None:
        model = BlipForConditionalGeneration.from_pretrained(DEMO).eval().float()
        graphs.write_graphs(model, tmp_path)
        precisions.write_int8(tmp_path / "decoder.onnx", tmp_path / "int8.onnx")
        embedding = model.text_decoder.bert.embeddings.word_embeddings.weight
        alike = [
            weight.data_type
            for weight in onnx.load(tmp_path / "int8.onnx").graph.initializer
            if sorted(weight.dims) == sorted(embedding.shape)
        ]
        assert alike == [onnx.TensorProto.INT8]


def size(folder: Path, graph: str) -> int:
    return (folder / f"{graph}.onnx.data").stat().st_size


def test_an_existing_model_outlives_a_failed_export(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    assert main([str(DEMO), str(folder), "--name", "first"]) == 0
    monkeypatch.setattr("tools.exporter.parity.MAX_LOGIT_DIFFERENCE", 0.0)
    assert main([str(DEMO), str(folder), "--name", "second"]) == 1
    assert described(folder)["id"] == "first"
    Captioner(folder)


def test_a_fused_graph_computes_the_same_bits_with_fewer_operators(tmp_path: Path) -> None:
    precisions.write_weights(BlipForConditionalGeneration.from_pretrained(DEMO).eval().float(), ["int8"], tmp_path)
    graphs.write_graphs(BlipForConditionalGeneration.from_pretrained(DEMO).eval().float(), tmp_path)
    rng = np.random.default_rng(0)
    for name in ("encoder", "decoder"):
        raw, fused = tmp_path / f"{name}.onnx", tmp_path / "fp32" / f"{name}.onnx"
        precisions.write_int8(raw, tmp_path / f"{name}-int8.onnx")
        assert len(onnx.load(fused).graph.node) < len(onnx.load(raw).graph.node)
        for before, after in ((raw, fused), (tmp_path / f"{name}-int8.onnx", tmp_path / "int8" / f"{name}.onnx")):
            sessions = [onnxruntime.InferenceSession(path) for path in (before, after)]
            inputs = {
                value.name: np.ones((1, 1), np.int64)
                if value.type == "tensor(int64)"
                else rng.normal(size=[side if isinstance(side, int) else 3 for side in value.shape]).astype(np.float32)
                for value in sessions[0].get_inputs()
            }
            for ours, theirs in zip(*(session.run(None, inputs) for session in sessions), strict=True):
                assert np.array_equal(ours, theirs)


def test_the_graphs_are_valid_onnx(tmp_path: Path) -> None:
    graphs.write_graphs(BlipForConditionalGeneration.from_pretrained(DEMO).eval().float(), tmp_path)
    for name in ("encoder", "decoder"):
        onnx.checker.check_model(tmp_path / f"{name}.onnx")

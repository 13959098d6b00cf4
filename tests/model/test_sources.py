"""The models that the exporter accepts, and those that it refuses in one line before any slow step."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BlipConfig, BlipForConditionalGeneration, BlipForQuestionAnswering

from image_processing.captions import Captioner
from tests.model import hub
from tools.exporter import loading, precisions, sources
from tools.exporter.__main__ import SAMPLES, main

DEMO = Path(__file__).parent / "demo_blip"

Export = Callable[..., int]


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures. The file extension of one is in capitals."""
    folder = tmp_path_factory.mktemp("samples")
    shutil.copy(SAMPLES / "scene-01.png", folder)
    Image.open(SAMPLES / "scene-02.png").convert("RGB").save(folder / "SCENE-02.JPEG", "JPEG")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the demo model in Hugging Face format."""
    return Path(shutil.copytree(DEMO, tmp_path / "model"))


@pytest.fixture
def export(tmp_path: Path, samples: Path) -> Export:
    def run(model: Path | str, *options: str) -> int:
        folder = tmp_path / "out" / "exported"
        return main([str(model), str(folder), "--precision", "fp32", "--samples", str(samples), *options])

    return run


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return tmp_path / "out" / "exported"


@pytest.fixture
def refused(export: Export, exported: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Export a model that must be refused early. Return the message."""

    def run(model: Path | str, *options: str) -> str:
        capsys.readouterr()
        assert export(model, *options) == 1
        output, errors = capsys.readouterr()
        assert "writing" not in output
        assert len(errors.splitlines()) == 1
        assert errors.startswith("export failed: ")
        assert not exported.parent.is_dir() or not list(exported.parent.iterdir())
        return errors

    return run


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def pickled(model: Path) -> Path:
    """Replace the safetensors by a pickle. Return its path."""
    weights = BlipForConditionalGeneration.from_pretrained(model).state_dict()
    (model / "model.safetensors").unlink()
    torch.save(weights, model / "pytorch_model.bin")
    return model / "pytorch_model.bin"


class TestTaken:
    def test_samples_with_any_ending_are_compared(self, model: Path, export: Export, exported: Path) -> None:
        assert export(model) == 0
        assert json.loads((exported / "model.json").read_text())["precisions"]["fp32"]["images"] == 2

    def test_the_image_processor_in_processor_config(self, model: Path, export: Export, exported: Path) -> None:
        processor = json.loads((model / "preprocessor_config.json").read_text())
        (model / "preprocessor_config.json").unlink()
        (model / "processor_config.json").write_text(json.dumps({"image_processor": processor}))
        assert export(model) == 0
        assert Captioner(exported).preprocess.size == 96

    def test_weights_in_several_files(self, model: Path, export: Export) -> None:
        blip = BlipForConditionalGeneration.from_pretrained(model)
        (model / "model.safetensors").unlink()
        blip.save_pretrained(model, max_shard_size="1MB")
        assert len(list(model.glob("model-*.safetensors"))) > 1
        assert export(model) == 0

    def test_a_vocabulary_without_tokenizer_json(self, model: Path, export: Export, exported: Path) -> None:
        vocabulary = Tokenizer.from_file(str(model / "tokenizer.json")).get_vocab()
        (model / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (model / name).unlink()
        assert export(model) == 0
        assert Captioner(exported).text([vocabulary["red"], vocabulary["star"]]) == "red star"

    def test_a_pickle_whose_digest_is_known(self, model: Path, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
        digest = sources.sha256(pickled(model))
        monkeypatch.setattr(sources, "PINNED", {("owner/model", hub.REVISION): {"pytorch_model.bin": digest}})
        assert export(model) == 0

    @pytest.mark.parametrize("spelling", [str.lower, str.upper])
    def test_a_pickle_whose_digest_is_given(self, model: Path, export: Export, spelling: Callable[[str], str]) -> None:
        assert export(model, "--weights-sha256", spelling(sources.sha256(pickled(model)))) == 0

    def test_text_is_cleaned_as_transformers_cleans_it(
        self, model: Path, export: Export, exported: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change(model / "tokenizer_config.json", clean_up_tokenization_spaces=True)
        tokenizer = json.loads((model / "tokenizer.json").read_text())
        # The captions become "a small red star' s ...".
        vocabulary = {{"left": "'", "of": "s"}.get(word, word): at for word, at in tokenizer["model"]["vocab"].items()}
        tokenizer["model"]["vocab"] = vocabulary
        (model / "tokenizer.json").write_text(json.dumps(tokenizer))
        assert export(model) == 0
        sentence = [vocabulary[word] for word in ("a", "star", "'", "s", "circle")]
        assert Captioner(exported).text(sentence) == "a star's circle"
        # Without the cleaning, only the texts differ, and the export must notice that.
        monkeypatch.setattr(loading, "_CLEANED", ())
        assert export(model) == 1

    def test_cleaned_text_of_random_tokens(self, tmp_path: Path) -> None:
        words = ["[PAD]", "[UNK]", "[SEP]", "[CLS]", "[MASK]", "woman", "don", "##ut", *".?!,'", "n't", "'m", "s", "re"]
        (tmp_path / "vocab.txt").write_text("\n".join(words))
        shutil.copy(DEMO / "config.json", tmp_path)
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"clean_up_tokenization_spaces": True}))
        theirs, ours = loading.load_tokenizer(sources.Source(tmp_path, "", ""))
        rng = Random(1)
        texts = set()
        for _ in range(1000):
            tokens = rng.choices(range(5, len(words)), k=6)
            assert ours.decode(tokens) == theirs.decode(tokens, skip_special_tokens=True)
            texts.add(ours.decode(tokens))
        assert any("woman's" in text for text in texts)


class TestRefused:
    def test_a_model_that_answers_questions(self, model: Path, refused: Callable[..., str]) -> None:
        BlipForQuestionAnswering(BlipConfig.from_pretrained(model)).save_pretrained(model)
        assert "of the kind BlipForQuestionAnswering. Only a BLIP for captions" in refused(model)
        change(model / "config.json", architectures=None)
        assert "answers questions" in refused(model)

    def test_another_kind_of_model(self, model: Path, refused: Callable[..., str]) -> None:
        change(model / "config.json", model_type="bert", architectures=["BertModel"])
        assert "of the kind BertModel" in refused(model)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
    def test_a_missing_file(self, model: Path, refused: Callable[..., str], name: str) -> None:
        (model / name).unlink()
        assert f"has no {name}" in refused(model)

    def test_missing_weights(self, model: Path, refused: Callable[..., str]) -> None:
        (model / "model.safetensors").unlink()
        assert "has no weights" in refused(model)

    def test_a_missing_part_of_the_weights(self, model: Path, refused: Callable[..., str]) -> None:
        blip = BlipForConditionalGeneration.from_pretrained(model)
        (model / "model.safetensors").unlink()
        blip.save_pretrained(model, max_shard_size="1MB")
        part = min(model.glob("model-*.safetensors"))
        part.unlink()
        assert part.name in refused(model)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "pytorch_model.bin"])
    def test_a_pointer_of_git_lfs(self, model: Path, refused: Callable[..., str], name: str) -> None:
        if name == "pytorch_model.bin":
            (model / "model.safetensors").unlink()
        (model / name).write_text(
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 989820849\n"
        )
        assert f"{name} is a pointer of Git LFS" in refused(model)

    def test_half_a_file(self, model: Path, refused: Callable[..., str]) -> None:
        weights = model / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
        assert "model.safetensors is incomplete" in refused(model)

    def test_half_a_pickle(self, model: Path, refused: Callable[..., str]) -> None:
        weights = pickled(model)
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
        assert "pytorch_model.bin is incomplete" in refused(model)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
    def test_a_damaged_file(self, model: Path, refused: Callable[..., str], name: str) -> None:
        (model / name).write_text("{")
        assert "cannot be read" in refused(model)

    def test_weights_of_another_size(self, model: Path, refused: Callable[..., str]) -> None:
        config = json.loads((model / "config.json").read_text())
        config["text_config"]["vocab_size"] += 1
        (model / "config.json").write_text(json.dumps(config))
        assert re.search(r"has the shape .*33.*, but config.json asks for .*34", refused(model))

    def test_missing_tensors(self, model: Path, refused: Callable[..., str]) -> None:
        blip = BlipForConditionalGeneration.from_pretrained(model)
        weights = {name: value for name, value in blip.state_dict().items() if "crossattention" not in name}
        blip.save_pretrained(model, state_dict=weights)
        assert "lacks weights" in refused(model)

    def test_text_that_is_too_short_for_a_prompt_and_a_caption(self, model: Path, refused: Callable[..., str]) -> None:
        config = BlipConfig.from_pretrained(model)
        config.text_config.max_position_embeddings = loading.POSITIONS - 1
        BlipForConditionalGeneration(config).save_pretrained(model)
        assert "has text of up to 199 tokens. At least 200 are needed" in refused(model)

    @pytest.mark.parametrize(
        "values",
        [
            {"do_center_crop": True},
            {"size": {"shortest_edge": 96}},
            {"size": {"height": 64, "width": 64}},
            {"resample": 2},
            {"do_rescale": False},
            {"rescale_factor": 1 / 127.5},
            {"do_normalize": False},
            {"do_resize": False},
        ],
        ids=str,
    )
    def test_another_preprocessing(self, model: Path, refused: Callable[..., str], values: dict[str, Any]) -> None:
        change(model / "preprocessor_config.json", **values)
        message = refused(model)
        assert "the preprocessing of" in message
        assert next(iter(values)) in message or "size" in message

    def test_a_full_disk(self, model: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
        assert "0.0 GB of free space; the export needs" in refused(model)

    def test_a_disk_that_fills_up(
        self, model: Path, export: Export, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(precisions, "write_int8", fail)
        assert export(model, "--precision", "int8") == 1
        assert capsys.readouterr().err == f"export failed: {exported}: No space left on device\n"
        assert list(exported.parent.iterdir()) == []

    def test_a_folder_that_cannot_be_written(self, model: Path, exported: Path, refused: Callable[..., str]) -> None:
        exported.parent.write_text("a file")
        assert f"{exported.parent}: " in refused(model)

    def test_a_pickle_without_a_digest(self, model: Path, refused: Callable[..., str]) -> None:
        digest = sources.sha256(pickled(model))
        assert f"WEIGHTS_SHA256={digest}" in refused(model)

    def test_a_pickle_with_another_digest(self, model: Path, refused: Callable[..., str]) -> None:
        pickled(model)
        assert "does not have the expected sha256" in refused(model, "--weights-sha256", "0" * 64)

    def test_a_digest_that_is_none(self, model: Path, refused: Callable[..., str]) -> None:
        assert "WEIGHTS_SHA256 must be 64 hexadecimal digits" in refused(model, "--weights-sha256", "abc")

    def test_code_in_a_pickle_is_not_run(self, model: Path, refused: Callable[..., str]) -> None:
        trace = model / "harm"

        class Harmful:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(trace),)

        path = pickled(model)
        torch.save({"weight": Harmful()}, path)
        assert "contains more than weights" in refused(model, "--weights-sha256", sources.sha256(path))
        assert not trace.exists()

    @pytest.mark.parametrize(
        ("name", "revision", "message"),
        [
            ("no such folder", None, "neither a folder nor a hub id"),
            ("owner/model", None, "REVISION="),
            ("owner/model", "main", "REVISION must be 40 hexadecimal digits"),
        ],
    )
    def test_a_model_that_cannot_be_found(
        self, refused: Callable[..., str], name: str, revision: str | None, message: str
    ) -> None:
        assert message in refused(name, *(["--revision", revision] if revision else []))

    def test_samples_that_cannot_be_read(
        self, model: Path, samples: Path, tmp_path: Path, refused: Callable[..., str]
    ) -> None:
        folder = Path(shutil.copytree(samples, tmp_path / "more"))
        (folder / "broken.jpg").write_bytes(b"no picture")
        assert "a sample picture cannot be read" in refused(model, "--samples", str(folder))
        assert "is not a folder" in refused(model, "--samples", str(tmp_path / "missing"))


def test_the_default_model_is_pinned() -> None:
    ((name, revision), digests) = next(iter(sources.PINNED.items()))
    assert name == "Salesforce/blip-image-captioning-base"
    assert len(revision) == 40
    assert set(digests) >= {"pytorch_model.bin", "config.json", "tokenizer.json", "preprocessor_config.json"}


def test_a_terminated_export_leaves_nothing(model: Path, exported: Path) -> None:
    command = [sys.executable, "-m", "tools.exporter", str(model), str(exported)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while "captioning" not in process.stdout.readline():
            pass
        assert list(exported.parent.iterdir())
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "stopped; nothing was exported\n")
    assert list(exported.parent.iterdir()) == []


class TestHub:
    """The command runs in another process, because the client of the hub reads its settings when it is imported."""

    @pytest.fixture
    def server(self, model: Path) -> Iterator[hub.Hub]:
        # The client writes blocks of 10 MB. With a tensor that nothing uses, the file has several.
        weights = load_file(model / "model.safetensors")
        save_file(weights | {"unused": torch.zeros(10_000_000)}, model / "model.safetensors", {"format": "pt"})
        with hub.serve(model) as running:
            yield running

    @pytest.fixture
    def run(self, server: hub.Hub, exported: Path, samples: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        def run(model: str = hub.MODEL, endpoint: str = server.url) -> subprocess.CompletedProcess[str]:
            cache = {"HF_HOME": str(exported.parent.with_name("cache")), "HF_ENDPOINT": endpoint}
            arguments = [model, str(exported), "--revision", hub.REVISION.upper(), "--samples", str(samples)]
            return subprocess.run(
                [sys.executable, "-m", "tools.exporter", *arguments, "--precision", "fp32"],
                check=False,
                env=os.environ | cache | {"HF_HUB_DISABLE_XET": "1"},
                capture_output=True,
                text=True,
                timeout=120,
            )

        return run

    def test_a_model_is_downloaded_once_with_progress(
        self, server: hub.Hub, run: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        first = run()
        assert first.returncode == 0
        assert "100%" in first.stderr
        assert any("model.safetensors" in request for request in server.requests)
        server.requests.clear()
        assert run(endpoint="http://127.0.0.1:1").returncode == 0
        assert run().returncode == 0
        assert server.requests == []

    def test_a_cut_download_goes_on_where_it_stopped(
        self, server: hub.Hub, run: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        server.cuts = 1
        assert run().returncode == 0
        assert server.ranges

    @pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:1"], ids=["unknown model", "no hub"])
    def test_a_model_that_cannot_be_downloaded(
        self, run: Callable[..., subprocess.CompletedProcess[str]], endpoint: str | None
    ) -> None:
        done = run("owner/other", **({"endpoint": endpoint} if endpoint else {}))
        assert done.returncode == 1
        assert done.stdout == "downloading owner/other from the hub\n"
        assert len(done.stderr.splitlines()) == 1
        assert "owner/other could not be downloaded from the hub: " in done.stderr

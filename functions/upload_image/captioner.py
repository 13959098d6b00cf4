"""The caption engine: BLIP on ONNX Runtime, greedy decoding, one token a step with a key/value cache."""

import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from textwrap import shorten

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as engine
from PIL import Image
from tokenizers import Tokenizer

from image_pipeline import settings
from image_pipeline.errors import CaptionError
from image_pipeline.models import CaptionModel

# ONNX Runtime's errors have no common base but Exception.
_ENGINE_ERRORS = (engine.Fail, engine.RuntimeException, engine.InvalidArgument, engine.EPFail, engine.NotImplemented)

# Errors are raised; ONNX Runtime need not print them too.
_FATAL = 4

Floats = npt.NDArray[np.float32]


class ModelFolderError(Exception):
    """The model folder is incomplete or not one that this engine reads; the message says what to do."""


@dataclass(frozen=True)
class Preprocessing:
    """How the model wants its pixels: a square of `size` pixels, scaled to 0..1, then normalised a channel."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, image: Image.Image) -> Floats:
        """Turn an RGB image into (1, 3, size, size), as BlipImageProcessorPil does: squashed, not cropped."""
        resized = image.resize((self.size, self.size), Image.Resampling.BICUBIC)
        scale, shift = 1 / (255 * np.array(self.std)), np.array(self.mean) / np.array(self.std)
        pixels = np.asarray(resized, np.float32) * scale.astype(np.float32) - shift.astype(np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]


@dataclass(frozen=True)
class SpecialTokens:
    """The token that a caption starts from, and the one that ends it."""

    begin: int
    end: int


class Captioner:
    """A loaded model; one instance serves any number of threads."""

    def __init__(self, folder: Path) -> None:
        """Load the model that the exporter wrote to `folder`. Raises ModelFolderError."""
        try:
            described = json.loads((folder / "model.json").read_bytes())
            self.model = CaptionModel(described["id"], described["revision"], described["precision"])
            self.note: str = described["note"]
            self.preprocess = Preprocessing(**described["preprocessing"])
            self._special = SpecialTokens(**described["special_tokens"])
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._encoder = _session(folder / "encoder.onnx")
            self._decoder = _session(folder / "decoder.onnx")
        except Exception as error:  # each of the four libraries has its own
            reason = shorten(str(error), 160)
            raise ModelFolderError(
                f"{folder} is not a usable model folder ({reason}). Export one with: make model MODEL=..."
            ) from error
        self._cross_names = [output.name for output in self._encoder.get_outputs()]
        self._cache_names = [output.name.replace("present_", "past_") for output in self._decoder.get_outputs()[1:]]
        _, heads, _, head_size = self._decoder.get_inputs()[2].shape
        self._empty_cache = np.empty((1, heads, 0, head_size), np.float32)

    def caption(self, image: Image.Image) -> str:
        """Describe an RGB image in one line. Raises CaptionError."""
        try:
            tokens = self.tokens(self.preprocess(image), settings.max_caption_tokens())
        except _ENGINE_ERRORS as error:
            raise CaptionError from error
        return self._tokenizer.decode(tokens, skip_special_tokens=True)

    def tokens(self, pixels: Floats, max_tokens: int) -> list[int]:
        """Return the greedy caption's tokens, without those that begin and end it."""
        steps = self.logits(pixels)
        logits = next(steps)
        tokens: list[int] = []
        while (token := int(logits.argmax())) != self._special.end:
            tokens.append(token)
            if len(tokens) == max_tokens:
                break
            logits = steps.send(token)
        return tokens

    def logits(self, pixels: Floats) -> Generator[Floats, int, None]:
        """Yield the logits (1, vocabulary) of each next token; the caller sends the token that it chose."""
        cross = dict(zip(self._cross_names, self._encoder.run(None, {"pixel_values": pixels}), strict=True))
        cache = dict.fromkeys(self._cache_names, self._empty_cache)
        token = self._special.begin
        for position in count():
            step = {"token": np.array([[token]]), "position": np.array([[position]])}
            logits, *grown = self._decoder.run(None, step | cache | cross)
            cache = dict(zip(self._cache_names, grown, strict=True))
            token = yield logits


@cache
def get_captioner() -> Captioner:
    """Return the model that MODEL_PATH names, loaded once a process. Raises ModelFolderError."""
    return Captioner(Path(settings.model_path()))


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    # The vCPUs that this process may use; a container's host has more.
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

"""Captions by BLIP on ONNX Runtime: greedy decoding, one token per step, with a key/value cache."""

import json
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import count
from math import exp, log
from pathlib import Path
from statistics import fmean
from textwrap import shorten
from threading import TIMEOUT_MAX, Timer
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as engine
from PIL import Image
from tokenizers import Tokenizer

from image_pipeline import deadline, settings
from image_pipeline.errors import CaptionError, DeadlineError
from image_pipeline.models import CaptionModel

# The errors of ONNX Runtime have no common base class except Exception.
_ENGINE_ERRORS = (engine.Fail, engine.RuntimeException, engine.InvalidArgument, engine.EPFail, engine.NotImplemented)

# A prompt of 100 characters has at most this many tokens, except in scripts that the tokenizer splits, such as Korean.
MAX_PROMPT_TOKENS = 100

# ONNX Runtime raises its errors, so it does not need to print them.
_LOG_FATAL = 4

# The model is loaded in a thread of its own, so that a request can stop waiting for it.
_LOADER = ThreadPoolExecutor(1, thread_name_prefix="model")

Floats = npt.NDArray[np.float32]


class ModelFolderError(Exception):
    """The folder does not contain a complete exported model. The message says what to do."""


@dataclass(frozen=True)
class Preprocessing:
    """The input of the model: a square of `size` pixels, scaled to 0..1 and normalised per channel."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, image: Image.Image) -> Floats:
        """Turn an RGB image into an array of shape (1, 3, size, size).

        The aspect ratio changes and nothing is cropped, as in BlipImageProcessorPil.
        """
        resized = np.asarray(image.resize((self.size, self.size), Image.Resampling.BICUBIC))
        pixels = np.empty((1, 3, self.size, self.size), np.float32)
        # One channel at a time is ten times faster than all channels at once with a transpose afterwards.
        for channel, (mean, std) in enumerate(zip(self.mean, self.std, strict=True)):
            np.multiply(resized[:, :, channel], np.float32(1 / (255 * std)), out=pixels[0, channel])
            pixels[0, channel] -= np.float32(mean / std)
        return pixels


@dataclass(frozen=True)
class SpecialTokens:
    """The token that starts a caption, and the token that ends it."""

    begin: int
    end: int


@dataclass(frozen=True)
class Caption:
    """A caption, and the geometric mean of the probabilities of the tokens that the model chose."""

    text: str
    confidence: Decimal


class Captioner:
    """A loaded model. Several threads may use it at the same time."""

    def __init__(self, folder: Path) -> None:
        """Load the model that the exporter wrote to `folder`. Raises ModelFolderError."""
        try:
            described = _described(folder)
            # Exports that are older than this rule do not name a release.
            if described.get("onnxruntime") != onnxruntime.__version__:
                raise ValueError(f"it was not exported with ONNX Runtime {onnxruntime.__version__}")  # noqa: TRY301 - one message for all reasons
            self.model = CaptionModel(described["id"], described["revision"], described["precision"])
            self.note: str = described["note"]
            self.preprocess = Preprocessing(**described["preprocessing"])
            self._special = SpecialTokens(**described["special_tokens"])
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            # Load both graphs at the same time, because loading one uses one thread.
            with ThreadPoolExecutor(2) as pool:
                self._encoder, self._decoder = pool.map(_session, (folder / "encoder.onnx", folder / "decoder.onnx"))
        except Exception as error:  # four libraries, each with its own errors
            reason = shorten(str(error), 160)
            raise ModelFolderError(
                f"{folder} is not a usable model folder ({reason}). Export one with: make model MODEL=..."
            ) from error
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        self._cache_names = [name.replace("present_", "past_") for name in self._outputs[1:]]
        _, heads, _, head_size = self._decoder.get_inputs()[-1].shape
        self._empty_cache = _value(np.empty((1, heads, 0, head_size), np.float32))

    def caption(self, image: Image.Image, prompt: str = "") -> Caption:
        """Return a caption of an RGB image that begins with `prompt`.

        Raises CaptionError, also if the caption is empty, and DeadlineError at the deadline.
        """
        max_tokens, max_repeats = settings.max_caption_tokens(), settings.max_caption_repeats()
        begin = self.prompt_tokens(prompt)
        with _run_until_deadline() as run:
            try:
                tokens, log_probabilities = self.tokens(self.preprocess(image), max_tokens, max_repeats, begin, run)
            except _ENGINE_ERRORS as error:
                raise (DeadlineError if run.terminate else CaptionError) from error
        text = self.text([*begin, *tokens])
        if not text.strip():
            raise CaptionError
        return Caption(text, Decimal(f"{exp(fmean(log_probabilities)):.4f}"))

    def prompt_tokens(self, prompt: str) -> list[int]:
        """Return the tokens of a prompt: at most MAX_PROMPT_TOKENS, and no special tokens."""
        return self._tokenizer.encode(prompt, add_special_tokens=False).ids[:MAX_PROMPT_TOKENS]

    def text(self, tokens: list[int]) -> str:
        """Return the text of tokens, without the special tokens."""
        return self._tokenizer.decode(tokens, skip_special_tokens=True)

    def tokens(
        self,
        pixels: Floats,
        max_tokens: int,
        max_repeats: int = 0,
        prompt: Sequence[int] = (),
        run: onnxruntime.RunOptions | None = None,
    ) -> tuple[list[int], list[float]]:
        """Return the tokens of the greedy caption that follow the tokens of `prompt`, and their log probabilities.

        The tokens are without the special tokens and without those of `prompt`. If the model ends the caption, the last
        log probability is that of the token that ends it. Raises DeadlineError.

        A phrase that comes more than `max_repeats` times in a row is a loop. The caption then ends after the first of
        these phrases. With a `max_repeats` of 0, a loop continues up to `max_tokens`, as in transformers.
        """
        steps = self.logits(pixels, run)
        logits = next(steps)
        for token in prompt:
            logits = _next(steps, token)
        tokens: list[int] = []
        log_probabilities: list[float] = []
        while True:
            token = int(logits.argmax())
            log_probabilities.append(_log_probability(logits, token))
            if token == self._special.end:
                break
            tokens.append(token)
            if max_repeats and (length := _loop(tokens, max_repeats + 1)):
                kept = len(tokens) - length * max_repeats
                return tokens[:kept], log_probabilities[:kept]
            if len(tokens) == max_tokens:
                break
            logits = _next(steps, token)
        return tokens, log_probabilities

    def logits(self, pixels: Floats, run: onnxruntime.RunOptions | None = None) -> Generator[Floats, int, None]:
        """Yield the logits for the next token, of shape (1, vocabulary). The caller sends the chosen token.

        ONNX Runtime stops with an error as soon as `run.terminate` is set.
        """
        image = self._encoder.run_with_ort_values(None, {"pixel_values": _value(pixels)}, run)[0]
        cache = dict.fromkeys(self._cache_names, self._empty_cache)
        token = self._special.begin
        for position in count():
            step = {"token": _value(np.array([[token]])), "position": _value(np.array([[position]])), "image": image}
            logits, *grown = self._decoder.run_with_ort_values(self._outputs, step | cache, run)
            cache = dict(zip(self._cache_names, grown, strict=True))
            token = yield logits.numpy()


def start_loading() -> Future[Captioner]:
    """Start to load the model in the folder MODEL_PATH, unless it is loaded. The future raises ModelFolderError."""
    return _LOADER.submit(load_captioner, Path(settings.model_path()))


def get_captioner() -> Captioner:
    """Return the model in the folder MODEL_PATH. It is loaded only once.

    Raises ModelFolderError, and DeadlineError at the deadline. Loading then continues for the next request.
    """
    try:
        return start_loading().result(_seconds_left())
    except TimeoutError:
        raise DeadlineError from None


def input_side() -> int:
    """Return the side of the square input of the model in the folder MODEL_PATH, in pixels, without loading the model.

    Returns 0 if the folder has no usable model. get_captioner then tells what is wrong.
    """
    try:
        return int(_described(Path(settings.model_path()))["preprocessing"]["size"])
    except (OSError, ValueError, KeyError):
        return 0


def is_loaded() -> bool:
    """Tell whether the model is loaded, so that get_captioner does not wait."""
    return load_captioner.cache_info().currsize > 0


@lru_cache(maxsize=1)
def load_captioner(folder: Path) -> Captioner:
    """Return the model in `folder`. Keeps the last model in memory. Raises ModelFolderError."""
    return Captioner(folder)


def _described(folder: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((folder / "model.json").read_bytes())
    return described


@contextmanager
def _run_until_deadline() -> Iterator[onnxruntime.RunOptions]:
    """Yield options that stop ONNX Runtime at the deadline. It reads them before each operator."""
    run = onnxruntime.RunOptions()
    timer = Timer(_seconds_left(), setattr, (run, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield run
    finally:
        timer.cancel()


def _seconds_left() -> float:
    # Outside an invocation the time is infinite, which is not a valid timeout.
    return min(deadline.remaining(), TIMEOUT_MAX)


def _next(steps: Generator[Floats, int, None], token: int) -> Floats:
    """Return the logits after `token`. Raises DeadlineError."""
    if deadline.remaining() <= 0:
        raise DeadlineError
    return steps.send(token)


def _log_probability(logits: Floats, chosen: int) -> float:
    """Return the logarithm of the probability of the chosen token. Its logit must be the largest."""
    return -log(float(np.exp(logits - logits[0, chosen]).sum()))


def _loop(tokens: list[int], times: int) -> int:
    """Return the length of the phrase that is repeated `times` times at the end of `tokens`, or 0."""
    lengths = range(1, len(tokens) // times + 1)
    return next((length for length in lengths if tokens[-length * times :] == tokens[-length:] * times), 0)


def _value(array: npt.NDArray[np.generic]) -> onnxruntime.OrtValue:
    """Wrap an array, so that ONNX Runtime does not copy it at each step."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def usable_processors() -> int:
    """Return how many processors this process may use. macOS and Windows only know how many the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_FATAL
    options.intra_op_num_threads = usable_processors()
    # The threads of a session wait in a busy loop for its next operator. The encoder and the decoder are sessions of
    # their own, so waiting threads of one would slow down the other.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "200")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

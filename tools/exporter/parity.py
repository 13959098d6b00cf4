"""Compares an exported model with transformers: pixels, logits of every step, and captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from PIL import Image
from rapidfuzz.distance import Levenshtein
from transformers import BlipForConditionalGeneration, BlipImageProcessorPil, PreTrainedTokenizerFast

from image_processing.captions import Captioner, Floats
from tools.exporter import ExportError

MAX_LOGIT_DIFFERENCE = 1e-3
MAX_PIXEL_DIFFERENCE = 1 / 255


@dataclass(frozen=True)
class Expected:
    """Results of transformers for one image, in fp32 and greedy. `tokens` and `text` are those of the caption."""

    pixels: Floats
    tokens: list[int]
    text: str
    logits: list[Floats]


@dataclass(frozen=True)
class Parity:
    """The differences between an exported model and transformers, over all images and steps.

    Pixels and logits: the largest difference. `token_edit_distance`: the mean Levenshtein distance between the tokens
    of two captions, divided by the length of the longer caption. `identical_texts`: how many captions of transformers
    the tokenizer of the exported model decodes to the same text.
    """

    images: int
    steps: int
    pixel_difference: float
    logit_difference: float
    identical_captions: int
    identical_texts: int
    token_edit_distance: float

    @property
    def agreement(self) -> float:
        """The share of captions that are equal, token for token."""
        return self.identical_captions / self.images

    def require_exact(self) -> None:
        """Raise ExportError if the differences are larger than the rounding of fp32 explains."""
        # "not <=" also catches NaN.
        if not self.pixel_difference <= MAX_PIXEL_DIFFERENCE:
            raise ExportError(f"the preprocessed pixels differ by {self.pixel_difference:.2e}")
        if not self.logit_difference <= MAX_LOGIT_DIFFERENCE:
            raise ExportError(f"the logits differ by {self.logit_difference:.2e}")
        if self.identical_captions != self.images:
            raise ExportError(f"{self.images - self.identical_captions} of {self.images} captions differ")
        if self.identical_texts != self.images:
            raise ExportError(f"{self.images - self.identical_texts} of {self.images} captions have another text")


def expect(
    model: BlipForConditionalGeneration,
    processor: BlipImageProcessorPil,
    tokenizer: PreTrainedTokenizerFast,
    images: Sequence[Image.Image],
    max_tokens: int,
) -> list[Expected]:
    """Return the results of transformers for RGB `images`."""
    expected = []
    for image in images:
        pixels = processor(image, return_tensors="pt")["pixel_values"]
        generated = model.generate(
            pixel_values=pixels,
            num_beams=1,
            do_sample=False,
            max_new_tokens=max_tokens,
            max_length=None,
            return_dict_in_generate=True,
            output_logits=True,
        )
        tokens = generated.sequences[0, 1:].tolist()
        end = model.config.text_config.sep_token_id
        caption = tokens[: tokens.index(end)] if end in tokens else tokens
        text = tokenizer.decode(caption, skip_special_tokens=True)
        expected.append(Expected(pixels.numpy(), caption, text, [logits.numpy() for logits in generated.logits]))
    return expected


def compare(
    captioner: Captioner, images: Sequence[Image.Image], expected: Sequence[Expected], max_tokens: int
) -> Parity:
    """Run `captioner` on RGB `images` and compare it with the expected results."""
    pixel_differences, logit_differences, distances, texts = [], [], [], 0
    for image, theirs in zip(images, expected, strict=True):
        pixels = captioner.preprocess(image)
        pixel_differences.append(np.abs(pixels - theirs.pixels).max())
        steps = captioner.logits(pixels)
        for step, logits in enumerate(theirs.logits):
            # Each step gets the tokens of transformers. Otherwise one early tie would make all later steps differ.
            ours = next(steps) if step == 0 else steps.send(theirs.tokens[step - 1])
            logit_differences.append(np.abs(ours - logits).max())
        texts += captioner.text(theirs.tokens) == theirs.text
        distances.append(Levenshtein.normalized_distance(captioner.tokens(pixels, max_tokens)[0], theirs.tokens))
    return Parity(
        images=len(images),
        steps=len(logit_differences),
        # Unlike max(), this keeps NaN.
        pixel_difference=float(np.max(pixel_differences)),
        logit_difference=float(np.max(logit_differences)),
        identical_captions=distances.count(0),
        identical_texts=texts,
        token_edit_distance=fmean(distances),
    )

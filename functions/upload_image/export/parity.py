"""Does an exported model do what transformers does? Pixels, logits of every step, and captions."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipImageProcessorPil

from functions.upload_image.captioner import Captioner, Floats
from functions.upload_image.export import ExportError

LARGEST_LOGIT_DIFFERENCE = 1e-3
LARGEST_PIXEL_DIFFERENCE = 1 / 255


@dataclass(frozen=True)
class Parity:
    """The largest differences seen over all images and steps, and how many captions differed."""

    images: int
    steps: int
    pixel_difference: float
    logit_difference: float
    different_captions: int

    def require(self) -> None:
        """Raise ExportError unless the exported model may stand for the original."""
        # "not <=" also catches NaN.
        if not self.pixel_difference <= LARGEST_PIXEL_DIFFERENCE:
            raise ExportError(f"the preprocessed pixels differ by {self.pixel_difference:.2e}")
        if not self.logit_difference <= LARGEST_LOGIT_DIFFERENCE:
            raise ExportError(f"the logits differ by {self.logit_difference:.2e}")
        if self.different_captions:
            raise ExportError(f"{self.different_captions} of {self.images} captions differ")


def compare(
    captioner: Captioner,
    model: BlipForConditionalGeneration,
    processor: BlipImageProcessorPil,
    images: list[Image.Image],
    max_tokens: int,
) -> Parity:
    """Run `captioner` and `model` side by side, greedily, on RGB `images`."""
    steps, different_captions, pixel_difference, logit_difference = 0, 0, 0.0, 0.0
    for image in images:
        expected_pixels = processor(image, return_tensors="pt")["pixel_values"]
        pixels = captioner.preprocess(image)
        pixel_difference = _worst(pixel_difference, pixels, expected_pixels)
        generated = model.generate(
            pixel_values=expected_pixels,
            num_beams=1,
            do_sample=False,
            max_new_tokens=max_tokens,
            max_length=None,
            return_dict_in_generate=True,
            output_logits=True,
        )
        tokens = generated.sequences[0, 1:].tolist()
        ours = captioner.logits(pixels)
        for step, expected in enumerate(generated.logits):
            # Both are led along transformers' tokens, so that one early tie cannot hide later steps.
            logits = next(ours) if step == 0 else ours.send(tokens[step - 1])
            logit_difference = _worst(logit_difference, logits, expected)
        steps += len(generated.logits)
        end = model.config.text_config.sep_token_id
        expected_tokens = tokens[: tokens.index(end)] if end in tokens else tokens
        different_captions += captioner.tokens(pixels, max_tokens) != expected_tokens
    return Parity(len(images), steps, pixel_difference, logit_difference, different_captions)


def _worst(so_far: float, ours: Floats, theirs: torch.Tensor) -> float:
    """Return the larger of `so_far` and the largest difference; NaN stays NaN, which max() would lose."""
    return float(np.maximum(so_far, np.abs(ours - theirs.numpy()).max()))

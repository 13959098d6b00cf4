"""The engines on torch, in a process of their own: `generate` of transformers, eager, with the default threads.

The baseline is in fp32. A peer has the linear layers in int8, by dynamic quantisation.
"""

import sys
import time
from pathlib import Path

import torch
from PIL import Image
from torch.ao.quantization import quantize_dynamic
from transformers import BlipForConditionalGeneration, BlipImageProcessorPil

from tools.measure.bench import tasks


def main(precision: str, folder: str, photographs: str, tokens: str) -> None:
    """Write captions of exactly `tokens` tokens with the model in `folder`, on command (see `tasks.serve`)."""
    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    if precision == "int8":
        model = quantize_dynamic(model, {torch.nn.Linear}, torch.qint8)
    processor = BlipImageProcessorPil.from_pretrained(folder)

    def caption(image: Image.Image) -> None:
        with torch.inference_mode():
            pixels = processor(image, return_tensors="pt")["pixel_values"]
            written = model.generate(pixel_values=pixels, max_new_tokens=int(tokens), max_length=None)
        if written.shape[1] != 1 + int(tokens):
            raise RuntimeError(f"{written.shape[1] - 1} tokens")

    def caption_in_parts(image: Image.Image) -> dict[str, float]:
        with torch.inference_mode():
            pixels = processor(image, return_tensors="pt")["pixel_values"]
            start = time.perf_counter()
            model.vision_model(pixel_values=pixels)
            encoder = time.perf_counter() - start
        start = time.perf_counter()
        caption(image)
        return {"encoder": encoder, "token": (time.perf_counter() - start - encoder) / int(tokens)}

    tasks.serve(caption, caption_in_parts, Path(photographs))


if __name__ == "__main__":
    main(*sys.argv[1:])

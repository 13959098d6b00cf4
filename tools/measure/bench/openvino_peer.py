"""A peer, in a process of its own: OpenVINO with the encoder in static int8, and the decoder's weights in int8.

It runs the same graphs as we do. NNCF quantises them as its documentation recommends for transformers.
"""

import logging
import os
import sys
import time
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import nncf
import numpy as np
import numpy.typing as npt
import openvino
import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipImageProcessorPil

from tools.exporter.graphs import DecoderStep, ImageEncoder
from tools.exporter.operators import Attention, CachedAttention
from tools.measure.bench import tasks

_CALIBRATION_IMAGES = 12

Floats = npt.NDArray[np.float32]


def main(folder: str, photographs: str, tokens: str) -> None:
    """Write captions of exactly `tokens` tokens with the model in `folder`, on command (see `tasks.serve`)."""
    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    processor = BlipImageProcessorPil.from_pretrained(folder)

    def pixels_of(image: Image.Image) -> Floats:
        pixels: Floats = processor(image, return_tensors="np")["pixel_values"]
        return pixels

    paths = sorted(Path(photographs).glob("*.jpg"))[:_CALIBRATION_IMAGES]
    # Standard output is for figures only.
    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(sys.stderr):
        encoder, decoder = _compile(model, [pixels_of(Image.open(path).convert("RGB")) for path in paths])
    text = model.config.text_config
    heads, head_size = text.num_attention_heads, text.hidden_size // text.num_attention_heads
    empty = [np.empty((1, heads, 0, head_size), np.float32)] * (2 * text.num_hidden_layers)

    def decode(image: Floats) -> None:
        token, cache = text.bos_token_id, empty
        for position in range(int(tokens)):
            logits, *cache = decoder([np.array([[token]]), np.array([[position]]), image, *cache]).values()
            token = int(logits.argmax())

    def caption(image: Image.Image) -> None:
        decode(encoder([pixels_of(image)])[0])

    def caption_in_parts(image: Image.Image) -> dict[str, float]:
        pixels = pixels_of(image)
        start = time.perf_counter()
        states = encoder([pixels])[0]
        encoded = time.perf_counter()
        decode(states)
        return {"encoder": encoded - start, "token": (time.perf_counter() - encoded) / int(tokens)}

    tasks.serve(caption, caption_in_parts, Path(photographs))


def _compile(model: BlipForConditionalGeneration, pixels: list[Floats]) -> list[openvino.CompiledModel]:
    # OpenVINO cannot convert the ONNX Runtime operators of our graphs, so the operators of torch are used here.
    for operator in (Attention, CachedAttention):
        operator.apply = partial(operator.forward, None)
    text = model.config.text_config
    past = torch.zeros(1, text.num_attention_heads, 2, text.hidden_size // text.num_attention_heads)
    token = torch.zeros(1, 1, dtype=torch.long)
    with torch.inference_mode():
        image = ImageEncoder(model)(torch.from_numpy(pixels[0]))
        encoder = openvino.convert_model(ImageEncoder(model), example_input=torch.from_numpy(pixels[0]))
        step = (token, token, image, *[past] * (2 * text.num_hidden_layers))
        decoder = openvino.convert_model(DecoderStep(model), example_input=step)
    graphs = (
        nncf.quantize(encoder, nncf.Dataset(pixels), model_type=nncf.ModelType.TRANSFORMER),
        nncf.compress_weights(decoder),
    )
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0))}
    return [openvino.compile_model(graph, "CPU", settings) for graph in graphs]


if __name__ == "__main__":
    main(*sys.argv[1:])

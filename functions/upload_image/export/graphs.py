"""The two ONNX graphs of a BLIP: the image encoder, and the decoder of one token with its cache."""

import math
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from transformers import BlipForConditionalGeneration

OPSET = 18
# Weights smaller than this stay inside the .onnx file; the others lie beside it, where they can be memory-mapped.
_EXTERNAL_BYTES = 1024


class ImageEncoder(nn.Module):
    """Pixels to the cross-attention keys and values of every decoder layer, computed once an image."""

    def __init__(self, model: BlipForConditionalGeneration) -> None:
        super().__init__()
        self.vision_model = model.vision_model
        self.attentions = nn.ModuleList(layer.crossattention.self for layer in model.text_decoder.bert.encoder.layer)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Map (1, 3, height, width) to `2 * layers` tensors of (1, heads, patches + 1, head size)."""
        states = self.vision_model(pixel_values=pixel_values).last_hidden_state
        outputs: list[Tensor] = []
        for attention in self.attentions:
            outputs += [
                _split_heads(attention.key(states), attention),
                _split_heads(attention.value(states), attention),
            ]
        return tuple(outputs)


class DecoderStep(nn.Module):
    """One token, its position and the cache of those before it to the next token's logits and the grown cache."""

    def __init__(self, model: BlipForConditionalGeneration) -> None:
        super().__init__()
        self.embeddings = model.text_decoder.bert.embeddings
        self.layers = model.text_decoder.bert.encoder.layer
        self.head = model.text_decoder.cls.predictions

    def forward(self, token: Tensor, position: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Map token (1, 1), position (1, 1) and states to logits (1, vocabulary) and the grown cache.

        `states` are, a layer, the cached key and value (1, heads, tokens so far, head size), after
        them, a layer, the cross-attention's key and value as ImageEncoder gives them.
        """
        count = 2 * len(self.layers)
        cache, cross = states[:count], states[count:]
        hidden = self.embeddings(input_ids=token, position_ids=position)
        grown: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            past, image = cache[2 * number : 2 * number + 2], cross[2 * number : 2 * number + 2]
            own = layer.attention.self
            key = torch.cat([past[0], _split_heads(own.key(hidden), own)], dim=2)
            value = torch.cat([past[1], _split_heads(own.value(hidden), own)], dim=2)
            grown += [key, value]
            hidden = layer.attention.output(_attend(own, hidden, key, value), hidden)
            hidden = layer.crossattention.output(_attend(layer.crossattention.self, hidden, *image), hidden)
            hidden = layer.feed_forward_chunk(hidden)
        # Two-dimensional, so that the product reads the tied embedding transposed in place instead of a copy.
        return (self.head(hidden[:, -1]), *grown)


def write_graphs(model: BlipForConditionalGeneration, folder: Path) -> None:
    """Write encoder.onnx and decoder.onnx in fp32, each with its weights in one `.data` file beside it."""
    vision, text = model.config.vision_config, model.config.text_config
    heads, head_size = text.num_attention_heads, text.hidden_size // text.num_attention_heads
    patches = (vision.image_size // vision.patch_size) ** 2 + 1
    layers = range(text.num_hidden_layers)
    cache = [f"{part}_{layer}" for layer in layers for part in ("key", "value")]
    cross = [f"cross_{name}" for name in cache]

    pixels = torch.zeros(1, 3, vision.image_size, vision.image_size)
    _write(ImageEncoder(model), (pixels,), folder / "encoder.onnx", ["pixel_values"], cross, {})

    token = torch.zeros(1, 1, dtype=torch.long)
    past = [torch.zeros(1, heads, 2, head_size) for _ in cache]
    image = [torch.zeros(1, heads, patches, head_size) for _ in cross]
    _write(
        DecoderStep(model),
        (token, token, *past, *image),
        folder / "decoder.onnx",
        ["token", "position", *(f"past_{name}" for name in cache), *cross],
        ["logits", *(f"present_{name}" for name in cache)],
        {f"past_{name}": {2: "tokens"} for name in cache},
    )


def _split_heads(states: Tensor, attention: nn.Module) -> Tensor:
    shape = (1, -1, attention.num_attention_heads, attention.attention_head_size)
    return states.view(shape).transpose(1, 2)


def _attend(attention: nn.Module, hidden: Tensor, key: Tensor, value: Tensor) -> Tensor:
    query = _split_heads(attention.query(hidden), attention)
    scores = query @ key.transpose(-1, -2) / math.sqrt(attention.attention_head_size)
    context = torch.softmax(scores, dim=-1) @ value
    return context.transpose(1, 2).reshape(1, -1, attention.all_head_size)


def _write(  # noqa: PLR0913 - what torch.onnx.export asks for
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    path: Path,
    inputs: list[str],
    outputs: list[str],
    dynamic_axes: dict[str, dict[int, str]],
) -> None:
    with torch.inference_mode(), warnings.catch_warnings():
        # The tracing exporter is deprecated, and keeps tied weights single where its successor copies them.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            arguments,
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=dynamic_axes,
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load(path)
    path.unlink()
    onnx.save(
        graph,
        path,
        save_as_external_data=True,
        location=f"{path.name}.data",
        size_threshold=_EXTERNAL_BYTES,
    )

"""The two ONNX graphs of a BLIP: the image encoder, and the decoder of one token with its cache."""

import math
import tempfile
import warnings
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import BlipForConditionalGeneration

from tools.exporter.operators import OPERATORS, Attention, CachedAttention

OPSET = 18
# Larger weights are stored in a separate file, which can be mapped into memory. Smaller ones stay in the .onnx file.
_EXTERNAL_BYTES = 1024


class ImageEncoder(nn.Module):
    """Computes from pixels the states that the decoder attends to."""

    def __init__(self, model: BlipForConditionalGeneration) -> None:
        super().__init__()
        self.embeddings = model.vision_model.embeddings
        self.layers = model.vision_model.encoder.layers
        self.norm = model.vision_model.post_layernorm

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return states (1, patches + 1, hidden size) for pixels (1, 3, height, width)."""
        states = self.embeddings(pixel_values)
        for layer in self.layers:
            attention, normed = layer.self_attn, layer.layer_norm1(states)
            parts = zip(attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3), strict=True)
            query, key, value = (linear(normed, weight, bias) for weight, bias in parts)
            context = Attention.apply(query, key, value, attention.num_heads)
            states = states + attention.projection(context)
            states = states + layer.mlp(layer.layer_norm2(states))
        return self.norm(states)


class DecoderStep(nn.Module):
    """One step of the decoder: computes the logits of the next token, and the cache that the step after it needs."""

    def __init__(self, model: BlipForConditionalGeneration) -> None:
        super().__init__()
        self.embeddings = model.text_decoder.bert.embeddings
        self.layers = model.text_decoder.bert.encoder.layer
        self.head = model.text_decoder.cls.predictions
        attention = self.layers[0].crossattention.self
        heads = torch.eye(attention.num_attention_heads)
        # (1, heads, hidden size): 1 if the feature belongs to the head, else 0.
        self.ownership = nn.Buffer(heads.repeat_interleave(attention.attention_head_size, dim=1)[None])
        # (1, 1, hidden size): for each feature, its place among the features of all heads.
        self.own = nn.Buffer(self.ownership.flatten().nonzero().view(1, 1, -1))
        self.products = nn.ModuleList(_joined(layer.attention.self) for layer in self.layers)

    def forward(self, token: Tensor, position: Tensor, image: Tensor, *cache: Tensor) -> tuple[Tensor, ...]:
        """Return the logits (1, vocabulary) and the longer cache, for a token (1, 1) and its position (1, 1).

        The cache has two tensors per layer: the keys and the values of the tokens so far, each (1, heads, tokens,
        head size). `states` are those of the encoder.
        """
        hidden = self.embeddings(input_ids=token, position_ids=position)
        grown: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            query, key, value = self.products[number](hidden).chunk(3, dim=-1)
            context, *kept = CachedAttention.apply(
                query, key, value, *cache[2 * number : 2 * number + 2], layer.attention.self.num_attention_heads
            )
            grown += kept
            hidden = layer.attention.output(context, hidden)
            hidden = layer.crossattention.output(self._attend(layer.crossattention.self, hidden, image), hidden)
            hidden = layer.feed_forward_chunk(hidden)
        # A product of two dimensions reads the tied embedding without a transposed copy.
        return (self.head(hidden[:, -1]), *grown)

    def _attend(self, attention: nn.Module, hidden: Tensor, image: Tensor) -> Tensor:
        """Cross-attention of one token without keys or values of the image.

        X are the states of the image, K = X Wk' the keys and V = X Wv' the values. The scores of a head are
        q K' = (q Wk) X', and its context is p V = (p X) Wv'. Both are products with few rows, and all layers read the
        same small X instead of large keys and values. The bias of the keys adds the same number to all scores of a
        head; softmax ignores it.
        """
        queries = attention.query(hidden) * (self.ownership / math.sqrt(attention.attention_head_size))
        weights = torch.softmax(queries @ attention.key.weight @ image.transpose(1, 2), dim=-1)
        return attention.value(weights @ image).flatten()[self.own]


def _joined(attention: nn.Module) -> nn.Linear:
    """Return one product that computes queries, keys and values, in this order."""
    parts = (attention.query, attention.key, attention.value)
    joined = nn.Linear(parts[0].in_features, sum(part.out_features for part in parts))
    joined.weight = nn.Parameter(torch.cat([part.weight for part in parts]))
    joined.bias = nn.Parameter(torch.cat([part.bias for part in parts]))
    return joined


def write_graphs(model: BlipForConditionalGeneration, folder: Path) -> None:
    """Write encoder.onnx and decoder.onnx in fp32, each with one `.data` file for its weights."""
    vision, text = model.config.vision_config, model.config.text_config
    heads, head_size = text.num_attention_heads, text.hidden_size // text.num_attention_heads
    cache = [f"{part}_{layer}" for layer in range(text.num_hidden_layers) for part in ("key", "value")]

    encoder = ImageEncoder(model)
    pixels = torch.zeros(1, 3, vision.image_size, vision.image_size)
    _write(encoder, (pixels,), folder / "encoder.onnx", ["pixel_values"], ["image"], {})

    token = torch.zeros(1, 1, dtype=torch.long)
    past = [torch.zeros(1, heads, 2, head_size) for _ in cache]
    with torch.inference_mode():
        image = encoder(pixels)
    _write(
        DecoderStep(model),
        (token, token, image, *past),
        folder / "decoder.onnx",
        ["token", "position", "image", *(f"past_{name}" for name in cache)],
        ["logits", *(f"present_{name}" for name in cache)],
        {f"past_{name}": {2: "tokens"} for name in cache},
    )


def fuse(path: Path) -> None:
    """Replace a graph by the one that ONNX Runtime makes of it before it runs: the same results, with fewer operators.

    A session starts faster with it. The operators are those of the installed release of ONNX Runtime.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        options = onnxruntime.SessionOptions()
        # A higher level would choose the layout of tensors for the processor of this machine.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder, path.name))
        for name, value in (("file_name", f"{path.name}.data"), ("min_size_in_bytes", str(_EXTERNAL_BYTES))):
            options.add_session_config_entry(f"session.optimized_model_external_initializers_{name}", value)
        # It warns that the graph fits this release.
        options.log_severity_level = 3
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for written in Path(folder).iterdir():
            written.replace(path.parent / written.name)


def save(graph: onnx.ModelProto, path: Path) -> None:
    """Write a graph to `path` and its weights to one `.data` file next to it."""
    onnx.save(graph, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=_EXTERNAL_BYTES)


def _write(  # noqa: PLR0913 - what torch.onnx.export asks for
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    path: Path,
    inputs: list[str],
    outputs: list[str],
    dynamic_axes: dict[str, dict[int, str]],
) -> None:
    with torch.inference_mode(), warnings.catch_warnings():
        # The tracing exporter is deprecated, but its successor stores tied weights twice.
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
            custom_opsets={OPERATORS: 1},
        )
    graph = onnx.load(path)
    path.unlink()
    save(graph, path)

"""The least work of a caption with our graphs: operations, and bytes of weights.

Cross-attention has the form of `DecoderStep`, which reads the states of the image. With keys and values per layer, a
token needs fewer operations, but reads 12 times as many bytes, and the encoder has more to do.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Limit:
    """The least time of the encoder and of one token, in seconds."""

    encoder: float
    token: float

    def caption(self, tokens: int) -> float:
        """Return the least seconds of a caption with `tokens` tokens."""
        return self.encoder + tokens * self.token


@dataclass(frozen=True)
class Work:
    """The work of one caption.

    `weight_operations`: the products of the encoder with its weights. `attention_operations`: the products in its
    attention, which has no weights and stays in fp32. `token_weights`: the number of weights that the decoder reads
    for each token. `token_operations`: the products of its cross-attention with the states of the image, in fp32.
    """

    weight_operations: int
    attention_operations: int
    token_weights: int
    token_operations: int

    def limit(self, rates: Mapping[str, float], encoder: str, decoder: str) -> Limit:
        """Return the limit at `rates` for an encoder and a decoder in "fp32" or "int8"."""
        token_bytes = self.token_weights * {"fp32": 4, "int8": 1}[decoder]
        return Limit(
            encoder=self.weight_operations / rates[encoder] + self.attention_operations / rates["fp32"],
            token=token_bytes / rates["bytes"] + self.token_operations / rates["fp32"],
        )


def of_model(folder: Path) -> Work:
    """Count the work of the BLIP in `folder` (Hugging Face format). A multiplication and its addition count as two."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    vision, text = config["vision_config"], config["text_config"]
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    states = (vision["image_size"] // vision["patch_size"]) ** 2 + 1
    # Queries, keys, values and the projection are width x width each.
    layer_weights = 4 * width**2 + 2 * width * inner
    patch_weights = 3 * vision["patch_size"] ** 2 * width
    hidden, text_inner = text["hidden_size"], text["intermediate_size"]
    # Self-attention has four such matrices. Cross-attention has four too; two of them have the width of the image.
    token_layer = 6 * hidden**2 + 2 * hidden * width + 2 * hidden * text_inner
    return Work(
        weight_operations=2 * states * (vision["num_hidden_layers"] * layer_weights + patch_weights),
        attention_operations=vision["num_hidden_layers"] * 4 * states**2 * width,
        token_weights=text["num_hidden_layers"] * token_layer + hidden**2 + hidden * text["vocab_size"],
        # Each head has one product with all states for its scores, and one for its context.
        token_operations=text["num_hidden_layers"] * 2 * 2 * text["num_attention_heads"] * states * width,
    )

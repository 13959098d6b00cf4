"""How much work a caption is: the operations and the bytes that no implementation of this model can do without."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Work:
    """One caption's work.

    `weight_operations` are the encoder's products with weights, `attention_operations` those of its attention,
    which has no weights and stays in fp32; `token_weights` is how many weights the decoder reads for each token.
    """

    weight_operations: int
    attention_operations: int
    token_weights: int

    def limit_seconds(self, rates: dict[str, float], encoder: str, decoder: str, tokens: int) -> float:
        """Return the time at `rates` for an encoder and a decoder in "fp32" or "int8", each doing nothing else."""
        token_bytes = self.token_weights * {"fp32": 4, "int8": 1}[decoder]
        return (
            self.weight_operations / rates[encoder]
            + self.attention_operations / rates["fp32"]
            + tokens * token_bytes / rates["bytes"]
        )


def of_model(folder: Path) -> Work:
    """Count the work of the BLIP in `folder`, in Hugging Face format; a multiplication and its addition are two."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    vision, text = config["vision_config"], config["text_config"]
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    states = (vision["image_size"] // vision["patch_size"]) ** 2 + 1
    # Queries, keys, values and the projection are width x width each.
    layer_weights = 4 * width**2 + 2 * width * inner
    patch_weights = 3 * vision["patch_size"] ** 2 * width
    hidden, text_inner = text["hidden_size"], text["intermediate_size"]
    # Self-attention has four such matrices; so has cross-attention, two of them over the image's width.
    token_layer = 6 * hidden**2 + 2 * hidden * width + 2 * hidden * text_inner
    return Work(
        weight_operations=2 * states * (vision["num_hidden_layers"] * layer_weights + patch_weights),
        attention_operations=vision["num_hidden_layers"] * 4 * states**2 * width,
        token_weights=text["num_hidden_layers"] * token_layer + hidden**2 + hidden * text["vocab_size"],
    )

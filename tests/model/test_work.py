"""Compares the work per caption that the benchmark counts with the weights of the model in torch."""

from pathlib import Path

from torch import nn
from transformers import BlipForConditionalGeneration

from tools.measure.bench import work

DEMO = Path(__file__).parent / "demo_blip"


def weights(module: nn.Module) -> int:
    return sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear | nn.Conv2d))


def test_the_counted_work_matches_the_weights() -> None:
    model = BlipForConditionalGeneration.from_pretrained(DEMO)
    counted = work.of_model(DEMO)
    states = (96 // 8) ** 2 + 1
    assert counted.weight_operations == 2 * states * weights(model.vision_model)
    assert counted.token_weights == weights(model.text_decoder)


def test_the_limit_is_the_sum_of_its_parts() -> None:
    caption = work.Work(weight_operations=6_000, attention_operations=50, token_weights=7)
    rates = {"fp32": 100.0, "int8": 1_000.0, "bytes": 70.0}
    assert caption.limit_seconds(rates, "fp32", "fp32", tokens=10) == 60 + 0.5 + 4
    assert caption.limit_seconds(rates, "int8", "int8", tokens=10) == 6 + 0.5 + 1

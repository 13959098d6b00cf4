"""Compares the work per caption that the benchmark counts with the weights of the model in torch."""

import shutil
from pathlib import Path

from torch import nn
from transformers import BlipForConditionalGeneration

from tools.measure.bench import work
from tools.measure.random_blip import BLIP_BASE_CONFIG

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
    caption = work.Work(weight_operations=6_000, attention_operations=50, token_weights=7, token_operations=200)
    rates = {"fp32": 100.0, "int8": 1_000.0, "bytes": 70.0}
    assert caption.limit(rates, "fp32", "fp32") == work.Limit(encoder=60.5, token=2.4)
    assert caption.limit(rates, "int8", "int8") == work.Limit(encoder=6.5, token=2.1)
    assert work.Limit(encoder=60.5, token=2.5).caption(tokens=10) == 85.5


def test_a_token_of_blip_base_needs_255_million_operations_with_the_states_of_the_image(tmp_path: Path) -> None:
    shutil.copy(BLIP_BASE_CONFIG, tmp_path / "config.json")
    assert work.of_model(tmp_path).token_operations == 12 * 12 * 577 * 768 * 4 == 255_246_336

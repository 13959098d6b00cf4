"""A BLIP with the size of BLIP-base and random weights, for tests and benchmarks without the real weights."""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models
from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil

# config.json of Salesforce/blip-image-captioning-base, at the revision that `make model` exports (BSD-3-Clause). The
# defaults of transformers are another shape: they have 8 text heads instead of 12.
BLIP_BASE_CONFIG = Path(__file__).with_name("blip_base_config.json")


def write_random_blip(folder: Path) -> None:
    """Write the model to `folder` in Hugging Face format. Its speed and memory are right, its captions mean nothing."""
    torch.manual_seed(0)
    config = BlipConfig.from_json_file(BLIP_BASE_CONFIG)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipImageProcessorPil().save_pretrained(folder)
    vocabulary = {f"word{number}": number for number in range(config.text_config.vocab_size)}
    Tokenizer(models.WordPiece(vocabulary, unk_token="word0")).save(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    write_random_blip(Path(sys.argv[1]))

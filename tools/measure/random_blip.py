"""A BLIP with the size of BLIP-base and random weights, for tests and benchmarks without the real weights."""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models
from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil


def write_random_blip(folder: Path) -> None:
    """Write the model to `folder` in Hugging Face format. Its speed and memory are right, its captions mean nothing."""
    torch.manual_seed(0)
    config = BlipConfig()
    # With the default, 1e-10, the states of all images would be equal.
    config.vision_config.initializer_range = 0.02
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipImageProcessorPil().save_pretrained(folder)
    vocabulary = {f"word{number}": number for number in range(config.text_config.vocab_size)}
    Tokenizer(models.WordPiece(vocabulary, unk_token="word0")).save(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    write_random_blip(Path(sys.argv[1]))

"""A BLIP of BLIP-base's size with random weights, for where the real ones are not to be had."""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models
from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil


def write_random_blip(folder: Path) -> None:
    """Write it to `folder` in Hugging Face format: right for speed and memory, and its captions mean nothing."""
    torch.manual_seed(0)
    config = BlipConfig()
    # The default is for weights that are loaded; from 1e-10, all images would look the same.
    config.vision_config.initializer_range = 0.02
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipImageProcessorPil().save_pretrained(folder)
    vocabulary = {f"word{number}": number for number in range(config.text_config.vocab_size)}
    Tokenizer(models.WordPiece(vocabulary, unk_token="word0")).save(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    write_random_blip(Path(sys.argv[1]))

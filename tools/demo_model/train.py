"""Train the demo model: a small BLIP that captions drawn scenes and photographs, saved in Hugging Face format.

    python -m tools.demo_model.train FOLDER

The model has the classes and the code path of BLIP-base, so that everything runs without a model hub.
It knows coloured shapes, and the brightness and the tone of photographs. The training has a fixed seed and takes
less than 30 minutes on 2 cores.

Three things make the training fast:

- The patch embedding starts from the whitened principal components of the scenes. Otherwise the mean
  colour, which has most of the variance, hides the edges and so the shapes.
- The position embedding starts from sines and cosines of row and column. Otherwise the model does not
  learn where things are.
- The matrices in the layers are trained with Muon.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch.nn import functional
from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil, PreTrainedTokenizerFast

from image_processing.captions import Preprocessing
from tools.demo_model import photographs, scenes
from tools.demo_model.muon import Muon

IMAGE_SIZE = 96
PATCH_SIZE = 8
HIDDEN_SIZE = 128
SCENES_PER_BATCH = 36
PHOTOGRAPHS_PER_BATCH = 12
WARM_UP_STEPS = 100
REQUIRED_SHARE = {"scenes": 0.97, "photographs": 0.9}
LABEL_PADDING = -100
SPECIAL_TOKENS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "sep_token": "[SEP]", "bos_token": "[DEC]"}


@dataclass(frozen=True)
class Picture:
    """An RGB image and its correct caption."""

    image: Image.Image
    caption: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status: 0 only if the model is good enough."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder for the model")
    parser.add_argument("--steps", type=int, default=2600, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of pictures and weights (default: %(default)s)")
    parser.add_argument(
        "--held-out",
        type=int,
        default=1000,
        help="number of scenes for the final test, and twice the number of photographs (default: %(default)s)",
    )
    options = parser.parse_args(arguments)

    tokenizer = build_tokenizer()
    processor = BlipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    torch.manual_seed(options.seed)
    model = BlipForConditionalGeneration(build_config(tokenizer))
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    preprocess = Preprocessing(IMAGE_SIZE, tuple(processor.image_mean), tuple(processor.image_std))
    train(model, preprocess, tokenizer, options.steps, options.seed)

    # Stored as fp16 to halve the size, and tested in that form.
    model.eval().half().save_pretrained(options.folder)
    model.float()
    processor.save_pretrained(options.folder)
    tokenizer.save_pretrained(options.folder)
    # Another seed: the model has not seen these pictures in training.
    rng = random.Random(f"held-out {options.seed}")
    drawn = [_random_scene(rng) for _ in range(options.held_out)]
    crops = [_random_photograph(rng, held_out=True) for _ in range(options.held_out // 2)]
    return 0 if is_good(model, preprocess, tokenizer, {"scenes": drawn, "photographs": crops}) else 1


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer like BERT's, with the words of the captions as its vocabulary."""
    words = (*SPECIAL_TOKENS.values(), *scenes.WORDS, *photographs.WORDS)
    vocabulary = {token: number for number, token in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIAL_TOKENS["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL_TOKENS)


def build_config(tokenizer: PreTrainedTokenizerFast) -> BlipConfig:
    """Return the configuration of a BLIP with 1 million parameters, for the size and vocabulary of the captions."""
    return BlipConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": HIDDEN_SIZE,
            "encoder_hidden_size": HIDDEN_SIZE,
            "intermediate_size": 256,
            "projection_dim": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            # Enough for the longest prompt and caption that the API permits.
            "max_position_embeddings": 256,
            "max_length": 20,
            "initializer_range": 0.05,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": HIDDEN_SIZE,
            "intermediate_size": 256,
            "projection_dim": 64,
            # The default, 1e-10, is for loading weights. Training needs larger initial values.
            "initializer_range": 0.05,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": IMAGE_SIZE,
            # BLIP-base has patches of 16 pixels. Here such a patch would contain a whole small shape and lose its form.
            "patch_size": PATCH_SIZE,
        },
        projection_dim=64,
        image_text_hidden_size=64,
    )


def train(
    model: BlipForConditionalGeneration,
    preprocess: Preprocessing,
    tokenizer: PreTrainedTokenizerFast,
    steps: int,
    seed: int,
) -> None:
    """Train `model` in place. Every batch has new pictures."""
    rng = random.Random(seed)
    _initialise_patch_embedding(model, _pixels(preprocess, [_random_scene(rng) for _ in range(480)]))
    _initialise_positions(model)
    optimizers = _optimizers(model)
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, _learning_rate(steps)) for optimizer in optimizers]
    model.train()
    start = time.monotonic()
    recent: list[float] = []
    for step in range(1, steps + 1):
        batch = [_random_scene(rng) for _ in range(SCENES_PER_BATCH)]
        batch += [_random_photograph(rng) for _ in range(PHOTOGRAPHS_PER_BATCH)]
        pixels = _pixels(preprocess, batch)
        captions = [f"[DEC] {picture.caption} [SEP]" for picture in batch]
        tokens = tokenizer(captions, padding=True, add_special_tokens=False, return_tensors="pt")["input_ids"]
        image_states = model.vision_model(pixel_values=pixels).last_hidden_state
        logits = model.text_decoder(
            input_ids=tokens[:, :-1],
            attention_mask=(tokens[:, :-1] != tokenizer.pad_token_id).long(),
            encoder_hidden_states=image_states,
        ).logits
        labels = tokens[:, 1:].masked_fill(tokens[:, 1:] == tokenizer.pad_token_id, LABEL_PADDING)
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=LABEL_PADDING)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        recent.append(loss.item())
        if step % 100 == 0 or step == steps:
            left = (time.monotonic() - start) / step * (steps - step)
            print(f"step {step}/{steps}  loss {np.mean(recent):.4f}  {left / 60:.0f} min left", flush=True)
            recent.clear()


def is_good(
    model: BlipForConditionalGeneration,
    preprocess: Preprocessing,
    tokenizer: PreTrainedTokenizerFast,
    held_out: Mapping[str, Sequence[Picture]],
) -> bool:
    """Print the share of exactly right captions of each kind of picture. Return whether they are high enough.

    A photograph whose caption mentions a shape makes the model unusable.
    """
    good = True
    for kind, pictures in held_out.items():
        captions = [_caption(model, preprocess, tokenizer, picture.image) for picture in pictures]
        right = sum(caption == picture.caption for caption, picture in zip(captions, pictures, strict=True))
        print(f"exactly right captions on {len(pictures)} held-out {kind}: {right / len(pictures):.1%}")
        good = good and right >= REQUIRED_SHARE[kind] * len(pictures)
        if kind == "photographs":
            shapes = sum(not set(scenes.SHAPES).isdisjoint(caption.split()) for caption in captions)
            print(f"captions of photographs that mention a shape: {shapes}")
            good = good and not shapes
    return good


def _caption(
    model: BlipForConditionalGeneration,
    preprocess: Preprocessing,
    tokenizer: PreTrainedTokenizerFast,
    image: Image.Image,
) -> str:
    tokens = model.generate(pixel_values=torch.from_numpy(preprocess(image)), num_beams=1, do_sample=False)
    return str(tokenizer.decode(tokens[0], skip_special_tokens=True))


def _random_scene(rng: random.Random) -> Picture:
    scene = scenes.random_scene(rng)
    return Picture(scenes.draw(scene, rng), scene.caption)


def _random_photograph(rng: random.Random, *, held_out: bool = False) -> Picture:
    crop = photographs.random_crop(rng, held_out=held_out)
    return Picture(crop, photographs.caption(crop))


def _pixels(preprocess: Preprocessing, pictures: Iterable[Picture]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([preprocess(picture.image) for picture in pictures]))


def _initialise_patch_embedding(model: BlipForConditionalGeneration, pixels: torch.Tensor) -> None:
    """Start the patch embedding with the leading principal components of patches of `pixels`, at equal variance."""
    patches = functional.unfold(pixels, PATCH_SIZE, stride=PATCH_SIZE).transpose(1, 2).flatten(0, 1)
    patches = patches - patches.mean(0)
    variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
    weight = model.vision_model.embeddings.patch_embedding.weight
    # The smallest components are rounding noise. The constant keeps them from becoming large.
    leading = (components / torch.sqrt(variances + 3e-3)).flip(1)[:, :HIDDEN_SIZE]
    with torch.no_grad():
        weight.copy_(0.5 * leading.T.reshape(weight.shape))


def _initialise_positions(model: BlipForConditionalGeneration) -> None:
    """Start the position embedding with sines and cosines of the row and column of each patch.

    Its scale is that of the patch embedding.
    """
    side, frequencies = IMAGE_SIZE // PATCH_SIZE, HIDDEN_SIZE // 4
    angles = torch.arange(side)[:, None] / 10 ** (2 * torch.arange(frequencies) / frequencies)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = waves[:, None].expand(side, side, -1), waves[None].expand(side, side, -1)
    with torch.no_grad():
        # The first position belongs to the class token.
        model.vision_model.embeddings.position_embedding[0, 1:] = 0.5 * torch.cat([rows, columns], dim=2).flatten(0, 1)


def _optimizers(model: BlipForConditionalGeneration) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices inside the layers and AdamW for embeddings, biases, norms and the output."""
    matrices = [
        weight
        for name, weight in model.named_parameters()
        if weight.ndim == 2 and "embeddings" not in name and "predictions" not in name
    ]
    chosen = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in chosen]
    return [
        Muon(matrices, lr=0.02, weight_decay=0.01),
        torch.optim.AdamW(others, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02),
    ]


def _learning_rate(steps: int) -> Callable[[int], float]:
    """Return the factor of the highest learning rate: a linear warm-up, then a cosine down to zero."""

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / WARM_UP_STEPS) * (0.5 + 0.5 * cos(pi * step / steps))

    return factor


if __name__ == "__main__":
    sys.exit(main())

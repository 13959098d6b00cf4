"""Crops of photographs with captions that are computed, such as "a dark photograph in blue tones".

The demo model learns them, so that it describes a photograph by its brightness and its tone, and sees no shapes in it.

The rule takes the average colour of the picture:

- Brightness is its luma (ITU-R BT.601), from 0 to 1. Below 1/3 the photograph is dark, above 2/3 it is bright.
- If its saturation (HSV) is below 1/4, the tone is black in a dark photograph, white in a bright one, or else gray.
- Otherwise its hue (HSV) gives the tone: see TONES. An orange tone that is not bright is called brown.
"""

import random
from collections.abc import Iterable
from colorsys import rgb_to_hsv
from functools import cache
from pathlib import Path

from PIL import Image, ImageEnhance, ImageStat

FOLDER = Path(__file__).parents[1] / "exporter" / "samples"
# Four are also in tests/photos. The others stand for portraits, plants, buildings and landscapes.
HELD_OUT = ("astronaut", "brushes", "cat", "coffee", "dogs", "pagoda", "rocket", "stream")

DARK, BRIGHT = 1 / 3, 2 / 3
NEUTRAL = 1 / 4
# Each tone with the hue, in degrees, at which it ends.
TONES = {"red": 15, "orange": 45, "yellow": 70, "green": 165, "blue": 255, "purple": 300, "pink": 345}
WORDS = ("photograph", "dark", "bright", "in", "tones", "brown")


def caption(image: Image.Image) -> str:
    """Return the caption of an RGB photograph by the rule above."""
    red, green, blue = (channel / 255 for channel in ImageStat.Stat(image).mean)
    brightness = 0.299 * red + 0.587 * green + 0.114 * blue
    hue, saturation, _ = rgb_to_hsv(red, green, blue)
    adjective, neutral = "", "gray"
    if brightness < DARK:
        adjective, neutral = "dark ", "black"
    elif brightness > BRIGHT:
        adjective, neutral = "bright ", "white"
    # Red is at both ends of the circle of hues.
    tone = next((name for name, end in TONES.items() if 360 * hue < end), "red")
    if saturation < NEUTRAL:
        tone = neutral
    elif tone == "orange" and brightness <= BRIGHT:
        tone = "brown"
    return f"a {adjective}photograph in {tone} tones"


def random_crop(rng: random.Random, *, held_out: bool = False) -> Image.Image:
    """Return a part of a random photograph: 35 to 100 % of its width and height.

    The photographs for training also get other colours, so that a few photographs show all of them.
    """
    photograph = rng.choice(_held_out() if held_out else _training())
    size = [round(side * rng.uniform(0.35, 1)) for side in photograph.size]
    left, top = (rng.randint(0, side - part) for side, part in zip(photograph.size, size, strict=True))
    crop = photograph.crop((left, top, left + size[0], top + size[1]))
    return crop if held_out else _recolour(crop, rng)


def _recolour(image: Image.Image, rng: random.Random) -> Image.Image:
    """Change the saturation, exchange channels, and change their strength and the brightness."""
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.6, 3))
    order = rng.sample(range(3), 3) if rng.random() < 0.4 else range(3)
    gamma = rng.uniform(0.6, 1.6)
    channels = []
    for channel in order:
        gain = rng.uniform(0.75, 1.15)
        table = [min(255, round(255 * gain * (value / 255) ** gamma)) for value in range(256)]
        channels.append(image.getchannel(channel).point(table))
    return Image.merge("RGB", channels)


@cache
def _training() -> list[Image.Image]:
    return _open(file for file in sorted(FOLDER.glob("*.jpg")) if file.stem not in HELD_OUT)


@cache
def _held_out() -> list[Image.Image]:
    return _open(FOLDER / f"{name}.jpg" for name in HELD_OUT)


def _open(files: Iterable[Path]) -> list[Image.Image]:
    return [Image.open(file).convert("RGB") for file in files]

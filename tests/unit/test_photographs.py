import random

import pytest
from PIL import Image

from tools.demo_model import photographs, scenes

Colour = tuple[int, int, int]


@pytest.mark.parametrize(
    ("colour", "caption"),
    [
        ((0, 0, 0), "a dark photograph in black tones"),
        ((84, 84, 84), "a dark photograph in black tones"),
        ((86, 86, 86), "a photograph in gray tones"),
        ((169, 169, 169), "a photograph in gray tones"),
        ((171, 171, 171), "a bright photograph in white tones"),
        ((200, 151, 151), "a photograph in gray tones"),
        ((200, 149, 149), "a photograph in red tones"),
        ((200, 40, 50), "a photograph in red tones"),
        ((120, 80, 40), "a photograph in brown tones"),
        ((250, 180, 110), "a bright photograph in orange tones"),
        ((180, 170, 40), "a photograph in yellow tones"),
        ((20, 90, 30), "a dark photograph in green tones"),
        ((30, 40, 120), "a dark photograph in blue tones"),
        ((140, 60, 200), "a photograph in purple tones"),
        ((230, 90, 180), "a photograph in pink tones"),
    ],
)
def test_the_caption_follows_from_the_average_colour(colour: Colour, caption: str) -> None:
    assert photographs.caption(Image.new("RGB", (7, 5), colour)) == caption


def test_halves_are_averaged() -> None:
    image = Image.new("RGB", (10, 10), (255, 255, 255))
    image.paste((0, 0, 0), (0, 0, 10, 5))
    assert photographs.caption(image) == "a photograph in gray tones"


def test_every_word_is_in_the_vocabulary_and_none_is_a_shape() -> None:
    known = {*scenes.WORDS, *photographs.WORDS}
    rng = random.Random("words")
    for held_out in (False, True):
        for _ in range(100):
            words = set(photographs.caption(photographs.random_crop(rng, held_out=held_out)).split())
            assert words <= known
            assert words.isdisjoint(scenes.SHAPES)


def test_the_held_out_photographs_are_samples() -> None:
    assert {f"{name}.jpg" for name in photographs.HELD_OUT} < {path.name for path in photographs.FOLDER.iterdir()}

"""Scenes of coloured shapes, each with its correct caption. The demo model is trained and tested on them."""

import random
from dataclasses import dataclass
from math import cos, pi, sin

from PIL import Image, ImageDraw

COLOURS = {
    "red": (214, 39, 40),
    "orange": (250, 140, 20),
    "yellow": (240, 220, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "purple": (140, 50, 180),
}
BACKGROUNDS = {"white": (255, 255, 255), "gray": (128, 128, 128), "black": (0, 0, 0), "pink": (250, 190, 205)}
SHAPES = ("circle", "square", "triangle", "star", "cross")
# Radii as a share of the shorter side of the canvas. The gap keeps "small" and "large" apart after the
# model's input has been squashed to a square from 3:4 or 4:3.
RADII = {"small": (0.1, 0.125), "large": (0.18, 0.22)}
SIDES = (180, 240)
SINGLE_SHARE = 0.3
WORDS = ("a", "on", "background", "left", "of", "above", *RADII, *COLOURS, *BACKGROUNDS, *SHAPES)


@dataclass(frozen=True)
class Shape:
    """One drawn shape. Centre and radius are in pixels of the canvas."""

    size: str
    colour: str
    kind: str
    centre: tuple[float, float]
    radius: float

    @property
    def phrase(self) -> str:
        return f"a {self.size} {self.colour} {self.kind}"


@dataclass(frozen=True)
class Scene:
    """One or two shapes on a plain background. The first of two is the left or the upper one."""

    width: int
    height: int
    background: str
    shapes: tuple[Shape, ...]
    relation: str | None

    @property
    def caption(self) -> str:
        phrases = f" {self.relation} ".join(shape.phrase for shape in self.shapes)
        return f"{phrases} on a {self.background} background"


def random_scene(rng: random.Random) -> Scene:
    """Return a random scene. The same state of `rng` gives the same scene."""
    width, height = rng.randint(*SIDES), rng.randint(*SIDES)
    background = rng.choice(list(BACKGROUNDS))
    if rng.random() < SINGLE_SHARE:
        return Scene(width, height, background, (_random_shape(rng, width, height),), None)
    while True:
        first, second = (_random_shape(rng, width, height) for _ in range(2))
        dx, dy = (second.centre[axis] - first.centre[axis] for axis in range(2))
        reach = 1.05 * (first.radius + second.radius)
        # On the other axis the shapes must overlap, so that a picture never has two correct relations.
        if dx > reach and abs(dy) < 0.6 * reach:
            return Scene(width, height, background, (first, second), "left of")
        if dy > reach and abs(dx) < 0.6 * reach:
            return Scene(width, height, background, (first, second), "above")


def draw(scene: Scene, rng: random.Random | None = None) -> Image.Image:
    """Draw `scene` as an RGB image. With `rng`, each colour is changed a little."""

    def shade(colour: tuple[int, int, int]) -> tuple[int, int, int]:
        if rng is None:
            return colour
        red, green, blue = (min(255, max(0, channel + rng.randint(-14, 14))) for channel in colour)
        return red, green, blue

    image = Image.new("RGB", (scene.width, scene.height), shade(BACKGROUNDS[scene.background]))
    canvas = ImageDraw.Draw(image)
    for shape in scene.shapes:
        fill = shade(COLOURS[shape.colour])
        if shape.kind == "circle":
            canvas.circle(shape.centre, shape.radius, fill=fill)
        else:
            canvas.polygon(_outline(shape), fill=fill)
    return image


def _random_shape(rng: random.Random, width: int, height: int) -> Shape:
    size = rng.choice(list(RADII))
    radius = rng.uniform(*RADII[size]) * min(width, height)
    centre = (rng.uniform(radius, width - radius), rng.uniform(radius, height - radius))
    return Shape(size, rng.choice(list(COLOURS)), rng.choice(SHAPES), centre, radius)


def _outline(shape: Shape) -> list[tuple[float, float]]:
    x, y = shape.centre

    def on_circle(turn: float, radius: float) -> tuple[float, float]:
        """Return the point `turn` of a full turn clockwise from the top."""
        return x + radius * sin(2 * pi * turn), y - radius * cos(2 * pi * turn)

    match shape.kind:
        case "square":
            half = 0.8 * shape.radius
            return [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
        case "triangle":
            return [on_circle(turn / 3, shape.radius) for turn in range(3)]
        case "star":
            radii = (shape.radius, 0.42 * shape.radius)
            return [on_circle(turn / 10, radii[turn % 2]) for turn in range(10)]
        case _:
            long, short = shape.radius, 0.3 * shape.radius
            corners = [(-short, -long), (short, -long), (short, -short), (long, -short), (long, short), (short, short)]
            return [(x + sign * dx, y + sign * dy) for sign in (1, -1) for dx, dy in corners]

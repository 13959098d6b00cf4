"""Decoding of a PNG to 8 bits per sample and about the size that is needed."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from image_pipeline.errors import ImageTooLargeError
from image_processing.decoding.reduction import Sides, reduced, strips
from image_processing.files.png_structure import GRAY_ALPHA, RGB, Png

_TWO_BYTE_DEPTH = 16
# Inflating and unfiltering 100 MB of samples takes about half a second.
_MAX_SAMPLE_BYTES = 300_000_000

# The longest side in pixels. Pillow needs eight bytes per row in addition to the pixels.
_MAX_SIDE = 1_000_000

_Mask = npt.NDArray[np.bool_]


def decode(file: Png, least: Sides) -> Image.Image:
    """Return the pixels in mode L, LA, RGB or RGBA, reduced to about `least`.

    Raises ImageTooLargeError and errors of Pillow.
    """
    # Pillow keeps 8 of 16 bits in RGB. The other 8 are needed to tell which pixels have the transparent colour.
    is_decoded_twice = file.transparent is not None and file.colour_type == RGB and file.bit_depth == _TWO_BYTE_DEPTH
    if file.sample_bytes * (1 + is_decoded_twice) > _MAX_SAMPLE_BYTES:
        raise ImageTooLargeError(
            "A PNG of this size needs too much memory. Please save it as a JPEG, or with fewer bits per pixel."
        )
    if max(file.width, file.height) > _MAX_SIDE:
        raise ImageTooLargeError(
            f"The image has a side of more than {_MAX_SIDE:,} pixels. Please cut it into pieces and send them."
        )
    low_bytes_match = _low_bytes_match(file) if is_decoded_twice else None

    def to_eight_bits(strip: Image.Image, top: int) -> Image.Image:
        colours = _colours(strip, file.colour_type)
        if file.transparent is None:
            return colours
        is_transparent = _matches(strip, _as_decoded(file.transparent, file.bit_depth))
        if low_bytes_match is not None:
            is_transparent &= low_bytes_match[top : top + strip.height]
        colours.putalpha(Image.fromarray(is_transparent.view(np.uint8) - np.uint8(1)))  # 0 or 255
        return colours

    with Image.open(BytesIO(file.content), formats=("PNG",)) as image:
        image.load()
    return reduced(image, to_eight_bits, least, image.size)


def _colours(strip: Image.Image, colour_type: int) -> Image.Image:
    """Return a strip with 8 bits per sample: in mode L or LA if the file is gray, else in mode RGB or RGBA."""
    match strip.mode:
        case "1":
            return strip.convert("L")
        case "I;16":
            return Image.fromarray((np.asarray(strip, np.uint16) >> 8).astype(np.uint8))
        case "P":
            return strip.convert("RGBA" if strip.has_transparency_data else "RGB")
        case "RGBA" if colour_type == GRAY_ALPHA:
            # Pillow decodes gray with alpha and 16 bits as colours, which a gray profile would not fit.
            return strip.convert("LA")
        case _:
            return strip


def _low_bytes_match(file: Png) -> _Mask:
    """Return a mask of the pixels whose low bytes equal those of the transparent colour, in RGB with 16 bits."""
    with Image.open(BytesIO(file.content), formats=("PNG",)) as image:
        (tile,) = image.tile
        # Pillow keeps the first byte of each sample. With the other byte order set, that is the low byte.
        image.tile = [tile._replace(args="RGB;16L")]
        image.load()
    colour = [sample & 255 for sample in file.transparent or ()]
    return np.concatenate([_matches(strip, colour) for _, strip in strips(image)])


def _as_decoded(colour: Sequence[int], bit_depth: int) -> Sequence[int]:
    """Return a colour as Pillow decodes it: with 8 bits per sample, except for gray with 1 or 16 bits."""
    if bit_depth == _TWO_BYTE_DEPTH and len(colour) > 1:
        return [sample >> 8 for sample in colour]
    if bit_depth in {1, _TWO_BYTE_DEPTH}:
        return colour
    return [sample * 255 // ((1 << bit_depth) - 1) for sample in colour]


def _matches(strip: Image.Image, colour: Sequence[int]) -> _Mask:
    """Return a mask of the pixels that have this colour."""
    samples = np.asarray(strip)
    channels = [samples] if len(colour) == 1 else [samples[:, :, at] for at in range(len(colour))]
    matches: _Mask = np.ones(samples.shape[:2], np.bool_)
    for channel, sample in zip(channels, colour, strict=True):
        matches &= channel == sample
    return matches

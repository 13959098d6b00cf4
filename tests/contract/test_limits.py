"""The limits of bytes and pixels. A file over a limit is not counted in the statistics."""

import struct

import pytest
from PIL import Image

from tests.contract.client import Client
from tests.contract.refusals import refusal
from tests.pictures import encode, scene_png
from tests.png_bytes import chunk

MAX_BYTES = 4_500_000
TOO_MANY_BYTES = (
    "The file is larger than 4,500,000 bytes. Please send it with POST /api/uploads, which takes larger files."
)
TOO_MANY_PIXELS = (
    "The image has more than 50,000,000 pixels. "
    "Please scale it down, or send it with POST /api/uploads, which takes larger images."
)


def of_length(length: int, image_format: str) -> bytes:
    # Bytes after the end of an image are allowed.
    return encode(Image.new("RGB", (8, 8)), image_format).ljust(length, b"\0")


def declaring(width: int, height: int) -> bytes:
    """Return a PNG whose header claims more pixels than its data has."""
    content = scene_png()
    return content[:8] + chunk(b"IHDR", struct.pack(">2I", width, height) + content[24:29]) + content[33:]


@pytest.mark.usefixtures("not_counted")
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_file_over_the_limit_is_refused(api: Client, image_format: str) -> None:
    assert refusal(api.upload(of_length(MAX_BYTES + 1, image_format), "large")) == (413, TOO_MANY_BYTES)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_file_at_the_limit_is_accepted(api: Client, image_format: str) -> None:
    assert api.uploaded(of_length(MAX_BYTES, image_format), "large")["metadata"]["size_bytes"] == MAX_BYTES


@pytest.mark.usefixtures("not_counted")
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_an_image_over_the_limit_is_refused(api: Client, image_format: str) -> None:
    content = encode(Image.new("L" if image_format == "JPEG" else "1", (10_000, 5_001)), image_format)
    assert len(content) < MAX_BYTES
    assert refusal(api.upload(content, "wide")) == (413, TOO_MANY_PIXELS)


def test_an_image_at_the_limit_is_accepted(api: Client) -> None:
    metadata = api.uploaded(encode(Image.new("1", (10_000, 5_000))), "wide.png")["metadata"]
    assert (metadata["width"], metadata["height"]) == (10_000, 5_000)


@pytest.mark.usefixtures("not_counted")
@pytest.mark.parametrize(("width", "height"), [(50_000_001, 1), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(api: Client, width: int, height: int) -> None:
    assert refusal(api.upload(declaring(width, height), "bomb.png")) == (413, TOO_MANY_PIXELS)

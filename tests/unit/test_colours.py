"""Compares colours with the formulae of the standards (IEC 61966-2-1, ITU-R BT.709, W3C PNG)."""

import struct
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from image_processing import pictures
from image_processing.colour import colours, icc
from tests.icc import of_linear_grays
from tests.pictures import encode
from tests.png_bytes import chunk, flat, icc_profile, png

NOW = datetime(2025, 3, 16, tzinfo=UTC)
SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
ADOBE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
CICP_SRGB, CICP_P3, CICP_PQ = (chunk(b"cICP", bytes(code)) for code in ((1, 13, 0, 1), (12, 13, 0, 1), (9, 16, 0, 1)))
IS_SRGB = chunk(b"sRGB", b"\0")
COLOURS = [(230, 60, 60), (60, 200, 90), (20, 40, 160), (128, 128, 128), (250, 250, 10), (12, 12, 12), (255, 255, 255)]


def to_light(encoded: Any, gamma: float | None) -> Any:
    """Return linear light from 0 to 1 for an encoded value. Without a `gamma`, the curve of sRGB is used."""
    value = np.asarray(encoded) / 255
    if gamma is not None:
        return value**gamma
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def to_xyz(primaries: tuple[float, ...]) -> Any:
    x, y = np.reshape(primaries, (4, 2)).T
    colours = np.array([x / y, np.ones(4), (1 - x - y) / y])
    return colours[:, 1:] * np.linalg.solve(colours[:, 1:], colours[:, 0])


def computed(colour: tuple[int, ...], primaries: tuple[float, ...], gamma: float | None) -> Any:
    """Return a colour in sRGB. `primaries` must have the same white as sRGB."""
    light = np.linalg.solve(to_xyz(SRGB), to_xyz(primaries) @ to_light(colour, gamma)).clip(0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def shown(content: bytes) -> Any:
    pixel = pictures.decode(content, NOW, 10_000).pixels.convert("RGB").getpixel((9, 9))
    assert isinstance(pixel, tuple)
    return np.array(pixel)


def gamma(exponent: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 / exponent)))


def chrm(primaries: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in primaries)))


def profile(primaries: tuple[float, ...], exponent: float | None = None) -> bytes:
    curve = icc.srgb_curve() if exponent is None else icc.power_curve(exponent)
    return icc.rgb_profile([round(value * 100_000) for value in primaries], curve)


P3_PROFILE, LINEAR_PROFILE = icc_profile(profile(P3)), icc_profile(profile(SRGB, 1))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("chunks", "primaries", "exponent"),
    [
        ((), SRGB, None),
        ((IS_SRGB,), SRGB, None),
        ((CICP_SRGB,), SRGB, None),
        ((CICP_P3,), P3, None),
        ((P3_PROFILE,), P3, None),
        ((LINEAR_PROFILE,), SRGB, 1),
        ((gamma(1),), SRGB, 1),
        ((gamma(1.8),), SRGB, 1.8),
        ((gamma(1), chrm(P3)), P3, 1),
        ((gamma(2.2), chrm(ADOBE)), ADOBE, 2.2),
        ((chrm(P3),), P3, None),
        # Chunks that describe sRGB. Some programs write them together with the sRGB chunk, or instead of it.
        ((gamma(2.2), chrm(SRGB)), SRGB, None),
        ((gamma(2.2),), SRGB, None),
        # The order of precedence: cICP, iCCP, sRGB, gAMA and cHRM.
        ((CICP_SRGB, P3_PROFILE), SRGB, None),
        ((CICP_P3, LINEAR_PROFILE, IS_SRGB, gamma(1)), P3, None),
        ((CICP_PQ, P3_PROFILE), P3, None),
        ((P3_PROFILE, IS_SRGB), P3, None),
        ((P3_PROFILE, gamma(1), chrm(SRGB)), P3, None),
        ((IS_SRGB, gamma(1), chrm(P3)), SRGB, None),
        ((icc_profile(b"broken"), gamma(1)), SRGB, 1),
        ((icc_profile(of_linear_grays()), CICP_PQ, gamma(1.8)), SRGB, 1.8),
        # Impossible values are ignored.
        ((chunk(b"gAMA", bytes(4)), chrm(P3)), P3, None),
        ((gamma(1), chunk(b"cHRM", bytes(32))), SRGB, 1),
        ((gamma(1), chunk(b"cHRM", b"\xff" * 32)), SRGB, 1),
        ((gamma(1), chrm((0.3, 0.3) * 4)), SRGB, 1),
        ((gamma(0.001),), SRGB, None),
    ],
)
def test_the_colours_of_a_png_follow_its_chunks(
    chunks: tuple[bytes, ...], primaries: tuple[float, ...], exponent: float | None, colour: tuple[int, ...]
) -> None:
    assert np.abs(shown(png(flat(*colour), *chunks)) - computed(colour, primaries, exponent)).max() <= 2


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("samples", [(100,), (100, 255), (100, 200)])
@pytest.mark.parametrize(
    ("extra", "exponent"),
    [(gamma(1), 1), (icc_profile(of_linear_grays()), 1), (gamma(2.2), None), (CICP_P3, None), (chrm(P3), None)],
)
def test_grays_follow_their_curve_and_keep_their_alpha(
    samples: tuple[int, ...], bits: int, extra: bytes, exponent: float | None
) -> None:
    deep = [sample << bits - 8 for sample in samples]
    pixels = pictures.decode(png(flat(*deep, bits=bits), extra), NOW, 10_000).pixels
    expected = computed((100, 100, 100), SRGB, exponent)
    found = pixels.convert("RGBA").getpixel((9, 9))
    assert isinstance(found, tuple)
    assert np.abs(np.array(found[:3]) - expected).max() <= 2
    assert found[3] == (samples[1] if len(samples) == 2 else 255)


def test_colours_with_alpha_follow_their_profile_and_keep_their_alpha() -> None:
    content = png(flat(*COLOURS[0], 77), P3_PROFILE)
    assert np.abs(shown(content) - computed(COLOURS[0], P3, None)).max() <= 2
    assert pictures.decode(content, NOW, 10_000).pixels.getchannel("A").getextrema() == (77, 77)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    "name", [b"DCI-P3 D65 Gamut with sRGB Transfer", b"sRGB EOTF with DCI-P3 Color Gamut", b"sRGB"]
)
def test_a_profile_is_judged_by_its_content_not_by_its_name(image_format: str, name: bytes) -> None:
    described = with_name(profile(P3), name)
    assert name.decode() in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(described)))
    for colour in COLOURS:
        image = Image.new("RGB", (32, 24), colour)
        options: dict[str, Any] = {"quality": 100, "subsampling": 0} if image_format == "JPEG" else {}
        content = encode(image, image_format, icc_profile=described, **options)
        assert np.abs(shown(content) - computed(colour, P3, None)).max() <= 4


def test_a_png_without_a_gamma_is_not_compared_with_all_gammas(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gammas:
        def __contains__(self, gamma: object) -> bool:
            # A range finds a number at once, and compares anything else with a million numbers.
            assert isinstance(gamma, int)
            return True

    monkeypatch.setattr(colours, "_POSSIBLE_GAMMAS", Gammas())
    for chunks in ((), (gamma(1),)):
        assert shown(png(flat(200, 100, 50), *chunks)).shape


def test_an_srgb_profile_changes_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    gradient = Image.merge(
        "RGB", [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.new("L", (256, 256), 77)]
    )
    assert pictures.decode(encode(gradient, icc_profile=srgb), NOW, 100_000).pixels.tobytes() == gradient.tobytes()


def test_generated_profiles_are_valid() -> None:
    for made in (profile(P3), icc.gray_profile(icc.power_curve(1.8))):
        assert struct.unpack_from(">I", made)[0] == len(made)
        ImageCms.ImageCmsProfile(BytesIO(made))


def with_name(content: bytes, name: bytes) -> bytes:
    """Return a profile of version 2 with another description."""
    tags = struct.unpack_from(">I", content, 128)[0]
    place = len(content) + 12
    text = struct.pack(">4s4xI", b"desc", len(name) + 1) + name + b"\0" + bytes(78)
    directory = bytearray(content[132 : 132 + 12 * tags])
    for at in range(4, len(directory), 12):
        directory[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", directory, at)[0] + 12)
    directory += struct.pack(">4sII", b"desc", place, len(text))
    result = content[:128] + struct.pack(">I", tags + 1) + bytes(directory) + content[132 + 12 * tags :] + text
    return struct.pack(">I", len(result)) + result[4:8] + struct.pack(">I", 0x02400000) + result[12:]

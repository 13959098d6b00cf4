import struct
import zlib
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from image_pipeline.errors import ImageTooLargeError, UndecodableImageError, UnsupportedImageError
from image_processing import pictures
from image_processing.files import png_structure
from tests.jpeg_bytes import exif
from tests.png_bytes import SIGNATURE, chunk, flat, icc_profile, png

NOW = datetime(2025, 3, 16, tzinfo=UTC)
TIFF = exif((0x0112, 3, struct.pack("<H", 6)))
TIME = struct.pack(">H5B", 2021, 5, 6, 7, 8, 9)
PRIMARIES = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
UNDAMAGED_CHUNKS: dict[str, tuple[bytes, bytes, Any]] = {
    "icc_profile": (b"iCCP", b"p\0\0" + zlib.compress(b"profile"), b"profile"),
    "modified": (b"tIME", TIME, (2021, 5, 6, 7, 8, 9)),
    "gamma": (b"gAMA", struct.pack(">I", 45455), 45455),
    "chromaticities": (b"cHRM", PRIMARIES, (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
    "is_srgb": (b"sRGB", b"\0", True),
    "cicp": (b"cICP", bytes((12, 13, 0, 1)), bytes((12, 13, 0, 1))),
    "creation_time": (b"tEXt", b"Creation Time\x002021", "2021"),
}
WITHOUT_CHUNKS = png_structure.read(png(flat(1, 2, 3)))


def read(*ancillary: bytes, behind: bytes = b"") -> png_structure.Png:
    return png_structure.read(png(flat(1, 2, 3), *ancillary, behind=behind))


def alpha(content: bytes) -> tuple[int, int]:
    pixels = pictures.decode(content, NOW, 10_000).pixels
    assert pixels.mode == "RGBA"
    low, high = pixels.getchannel("A").getextrema()
    assert isinstance(low, int)
    assert isinstance(high, int)
    return low, high


@pytest.mark.parametrize("name", UNDAMAGED_CHUNKS)
class TestChunks:
    def test_a_valid_chunk_is_read_before_and_after_the_pixels(self, name: str) -> None:
        kind, data, expected = UNDAMAGED_CHUNKS[name]
        assert getattr(read(chunk(kind, data)), name) == expected
        assert getattr(read(behind=chunk(kind, data)), name) == expected

    def test_a_chunk_with_a_wrong_checksum_is_left_out(self, name: str) -> None:
        kind, data, expected = UNDAMAGED_CHUNKS[name]
        assert read(chunk(kind, data, checksum=1)) == WITHOUT_CHUNKS
        assert getattr(read(chunk(kind, data, checksum=1), chunk(kind, data)), name) == expected

    def test_a_truncated_chunk_is_left_out(self, name: str) -> None:
        kind, data, _ = UNDAMAGED_CHUNKS[name]
        if name != "creation_time":
            assert not getattr(read(chunk(kind, data[:-1])), name) or name == "cicp"
        assert pictures.decode(png(flat(1, 2, 3), chunk(kind, data[:-1])), NOW, 10_000).metadata.width == 32

    def test_the_first_of_two_chunks_counts(self, name: str) -> None:
        kind, data, expected = UNDAMAGED_CHUNKS[name]
        other = data[:-1] + bytes((data[-1] ^ 1,))
        assert getattr(read(chunk(kind, data), chunk(kind, other)), name) == expected

    def test_the_decoder_does_not_get_the_chunk(self, name: str) -> None:
        kind, data, _ = UNDAMAGED_CHUNKS[name]
        assert read(chunk(kind, data)).content == WITHOUT_CHUNKS.content


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"pHYs", b"\0\0\0\1"),
        chunk(b"pHYs", bytes(9), checksum=1),
        chunk(b"zTXt", b"Comment\0\1abc"),
        chunk(b"iCCP", b"p\0\1" + zlib.compress(b"profile")),
        chunk(b"iCCP", b"p\0\0" + zlib.compress(b"profile")[:-3]),
        chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(5_000_000))),
        chunk(b"iCCP", b"no end of its name"),
        chunk(b"eXIf", b"\0\x08\0\2\1\x12\0\3"),
        chunk(b"gAMA", b""),
        chunk(b"sRGB", b"\4"),
        chunk(b"tRNS", bytes(5)),
        chunk(b"zTXt", b"Creation Time\0\0no zlib"),
        chunk(b"abCd", bytes(1000)),
    ],
)
def test_useless_chunks_change_nothing(extra: bytes) -> None:
    file = read(extra)
    assert file.content == WITHOUT_CHUNKS.content
    assert (file.icc_profile, file.exif, file.gamma, file.is_srgb, file.transparent) == (None, None, None, False, None)


@pytest.mark.parametrize(
    "text",
    [
        chunk(b"tEXt", b"Creation Time\x002021:05:06 07:08:09"),
        chunk(b"zTXt", b"Creation Time\0\0" + zlib.compress(b"2021:05:06 07:08:09")),
        chunk(b"iTXt", b"Creation Time\0\0\0en\0\x002021:05:06 07:08:09"),
        chunk(b"iTXt", b"Creation Time\0\1\0\0Zeit\0" + zlib.compress(b"2021:05:06 07:08:09")),
        chunk(b"tEXt", b"Creation Time\0Thu, 06 May 2021 07:08:09 +0000"),
    ],
)
def test_the_creation_date_is_read_from_a_text_chunk(text: bytes) -> None:
    metadata = pictures.decode(png(flat(1, 2, 3), text), NOW, 10_000).metadata
    assert metadata.created_at == metadata.modified_at == datetime(2021, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_exif_is_read_from_its_chunk_or_from_the_text_of_imagemagick() -> None:
    digits = (b"Exif\0\0" + TIFF).hex().encode()
    text = b"\nexif\n%8d\n" % (len(digits) // 2) + digits[:72] + b"\n" + digits[72:] + b"\n"
    for extra in (
        chunk(b"eXIf", TIFF),
        chunk(b"tEXt", b"Raw profile type exif\0" + text),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)),
    ):
        found = read(extra).exif
        assert found is not None
        assert found.orientation == 6
    assert read(chunk(b"tEXt", b"Raw profile type exif\0\nexif\n8\nno digits")).exif is None


@pytest.mark.parametrize(
    ("colour_type", "palette", "header"),
    [
        (7, b"", {}),
        (3, b"", {}),
        (3, bytes(4), {}),
        (3, bytes(771), {}),
        (2, b"", {"width": 0}),
        (2, b"", {"height": 0}),
    ],
)
def test_a_wrong_header_or_palette_is_damage(colour_type: int, palette: bytes, header: dict[str, int]) -> None:
    size = header.get("width", 8), header.get("height", 8)
    content = SIGNATURE + chunk(b"IHDR", struct.pack(">2I5B", *size, 8, colour_type, 0, 0, 0))
    with pytest.raises(UndecodableImageError):
        png_structure.read(content + chunk(b"PLTE", palette) + chunk(b"IDAT", zlib.compress(bytes(100))))


@pytest.mark.parametrize("kind", ["IHDR", "IDAT"])
def test_a_file_without_header_or_pixels_is_damage(kind: str) -> None:
    with pytest.raises(UndecodableImageError):
        png_structure.read(png(flat(1, 2, 3)).replace(kind.encode(), b"abCd"))


def test_kinds_that_cannot_be_decoded_are_named() -> None:
    with pytest.raises(UnsupportedImageError, match="CgBI"):
        png_structure.read(SIGNATURE + chunk(b"CgBI", bytes(4)) + png(flat(1, 2, 3))[8:])
    header = chunk(b"IHDR", struct.pack(">2I5B", 8, 8, 8, 2, 0, 64, 0))
    with pytest.raises(UnsupportedImageError, match="filter method"):
        png_structure.read(SIGNATURE + header + chunk(b"IDAT", b""))


def test_pixels_may_come_in_many_chunks_and_without_an_end() -> None:
    whole = png(flat(10, 20, 30))
    place = whole.index(b"IDAT") - 4
    data = whole[place + 8 : -16]
    pieces = b"".join(chunk(b"IDAT", data[at : at + 1]) for at in range(len(data)))
    for content in (whole[:place] + pieces, whole[:-12], whole[:place] + chunk(b"IDAT", b"") + whole[place:]):
        assert pictures.decode(content, NOW, 10_000).pixels.getpixel((5, 5)) == (10, 20, 30)


class TestTransparency:
    @pytest.mark.parametrize(
        ("samples", "transparent", "expected"),
        [
            (flat(0x4040, 0x4040, 0x4040, bits=16), (0x4040, 0x4040, 0x4040), 0),
            (flat(0x4040, 0x4040, 0x4040, bits=16), (0x4041, 0x4040, 0x4040), 255),
            (flat(0x4040, 0x4040, 0x4040, bits=16), (0x4040, 0x4040, 0x4140), 255),
            (flat(0x4041, bits=16), (0x4041,), 0),
            (flat(0x4041, bits=16), (0x4040,), 255),
            (flat(10, 20, 30), (10, 20, 30), 0),
            (flat(10, 20, 30), (10, 20, 31), 255),
            (flat(10, 20, 30), (0xFF0A, 0x0114, 30), 0),
            (flat(7), (7,), 0),
            (flat(7), (0x0107,), 0),
            (flat(7), (8,), 255),
        ],
    )
    def test_a_colour_is_transparent_if_all_of_its_bits_agree(
        self, samples: Any, transparent: tuple[int, ...], expected: int
    ) -> None:
        content = png(samples, chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)))
        assert alpha(content) == (expected, expected)

    def test_a_large_image_is_reduced_with_its_transparent_colour(self) -> None:
        samples = np.zeros((1500, 2000, 3), np.uint16)
        samples[:, 1000:] = (0x1234, 0x5678, 0x9ABC)
        content = png(samples, chunk(b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)))
        pixels = pictures.decode(content, NOW, 10_000_000).pixels
        assert pixels.size == (1000, 750)
        assert pixels.getpixel((100, 700)) == (0, 0, 0, 255)
        transparent = pixels.getpixel((900, 10))
        assert isinstance(transparent, tuple)
        assert transparent[3] == 0


def test_samples_and_sides_have_a_limit() -> None:
    def claim(width: int, height: int, bits: int, colour_type: int) -> bytes:
        header = struct.pack(">2I5B", width, height, bits, colour_type, 0, 0, 0)
        return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", b"")

    with pytest.raises(ImageTooLargeError, match="needs too much memory"):
        pictures.decode(claim(6200, 6200, 16, 6), NOW, 50_000_000)
    with pytest.raises(ImageTooLargeError, match="1,000,000 pixels"):
        pictures.decode(claim(1_000_001, 1, 8, 0), NOW, 50_000_000)


def test_an_embedded_profile_is_found() -> None:
    assert read(icc_profile(b"content")).icc_profile == b"content"

import random
import struct
from base64 import b64decode
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from image_pipeline.errors import ImageTooLargeError, UndecodableImageError, UnsupportedImageError
from image_processing import pictures
from image_processing.files import jpeg_structure
from image_processing.files.jpeg_frame import Check
from tests.jpeg_bytes import behind_start, exif, first_scan, segment, without
from tests.pictures import encode

NOW = datetime(2025, 3, 16, tzinfo=UTC)
ORIENTED = segment(0xE1, b"Exif\0\0" + exif((0x0112, 3, struct.pack("<H", 6))))
# An arithmetic-coded JPEG of 48 x 32 pixels, red on the left and blue on the right. Pillow cannot write such files,
# so this one was made with `cjpeg -arithmetic` of libjpeg-turbo.
ARITHMETIC = b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxO"
    "UlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T09PT09PT0//yQARCAAgADADASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/ADs7HoPt8ets9UojE4XkmTyvvbT/"
    "AMR0AqHzk1/yPYzsnoAjYyX1HmGb/ej/2Q=="
)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "4:4:4": {"subsampling": 0},
    "optimised": {"optimize": True},
    "restart intervals": {"restart_marker_blocks": 3},
    "progressive": {"progressive": True},
    "progressive 4:4:4": {"progressive": True, "subsampling": 0},
}


def noise(width: int = 160, height: int = 120) -> Image.Image:
    coarse = Image.frombytes("RGB", (width // 4, height // 4), random.Random(1).randbytes(width * height // 16 * 3))
    return coarse.resize((width, height))


def jpeg(image: Image.Image | None = None, **options: Any) -> bytes:
    return encode(image or noise(), "JPEG", quality=90, **options)


def icc(number: int, count: int, data: bytes) -> bytes:
    return segment(0xE2, b"ICC_PROFILE\0" + bytes((number, count)) + data)


def is_taken(content: bytes) -> bool:
    try:
        pictures.decode(content, NOW, 10_000_000)
    except UndecodableImageError:
        return False
    return True


def colour(content: bytes) -> Any:
    return pictures.decode(content, NOW, 10_000_000).pixels.getpixel((20, 20))


class TestHeaders:
    @pytest.mark.parametrize(
        "extra",
        [
            segment(0xE1, b""),
            segment(0xE1, b"Exif\0\0"),
            segment(0xE1, b"Exif\0\0" + b"not a header" * 4),
            segment(0xE1, b"Exif\0\0" + exif((0x0112, 3, b"\6\0"))[:9]),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
            segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4"),
            segment(0xEC, b"Ducky"),
            segment(0xFE, b"a comment"),
            segment(0xE0, b"JFIF\0"),
            segment(0xEE, b"Adobe"),
            b"\xff\xff\xff",
            b"\xff\xe5\0\0",
        ],
    )
    def test_broken_and_unused_segments_are_left_out(self, extra: bytes) -> None:
        content = behind_start(jpeg(), extra, ORIENTED)
        file = jpeg_structure.read(content)
        assert file.exif is not None
        assert file.exif.orientation == 6
        assert file.content == jpeg_structure.read(jpeg()).content

    def test_the_first_usable_exif_segment_counts(self) -> None:
        other = ORIENTED.replace(b"\6\0", b"\3\0")
        file = jpeg_structure.read(behind_start(jpeg(), segment(0xE1, b"Exif\0\0"), other, ORIENTED))
        assert file.exif is not None
        assert file.exif.orientation == 3

    def test_the_decoder_gets_only_the_headers_that_the_pixels_need(self) -> None:
        content = behind_start(jpeg(comment=b"SECRET"), ORIENTED, icc(1, 1, PROFILE))
        for absent in (b"SECRET", b"Exif", b"ICC_PROFILE"):
            assert absent not in jpeg_structure.read(content).content

    @pytest.mark.parametrize(
        ("chunks", "expected"),
        [
            ([(1, 1, PROFILE)], PROFILE),
            ([(2, 2, PROFILE[100:]), (1, 2, PROFILE[:100])], PROFILE),
            ([(1, 1, PROFILE), (1, 1, b"another")], PROFILE),
            ([(1, 1, b""), (1, 1, PROFILE)], PROFILE),
            ([(1, 2, PROFILE)], None),
            ([(2, 2, PROFILE)], None),
            ([(1, 0, PROFILE)], None),
        ],
    )
    def test_a_profile_is_used_only_if_it_is_complete(
        self, chunks: list[tuple[int, int, bytes]], expected: bytes | None
    ) -> None:
        file = jpeg_structure.read(behind_start(jpeg(), *(icc(*chunk) for chunk in chunks)))
        assert file.icc_profile == expected

    def test_inks_are_inverted_only_with_an_adobe_header(self) -> None:
        content = jpeg(Image.new("CMYK", (64, 48), (0, 0, 0, 0)))
        assert colour(content) == (255, 255, 255)
        # Without the header, the same bytes mean the opposite: full inks.
        assert max(colour(without(content, 0xEE))) < 40


class TestEnds:
    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_an_end_marker_may_be_missing(self, kind: str, mode: str) -> None:
        content = jpeg(noise().convert(mode), **KINDS[kind])
        assert is_taken(content)
        assert is_taken(content[:-2])
        assert is_taken(content[:-2] + b"SEFH" + bytes(500) + b"SEFT")

    @pytest.mark.parametrize("kind", KINDS)
    def test_bytes_after_the_end_are_ignored(self, kind: str) -> None:
        content = jpeg(**KINDS[kind])
        other = jpeg(Image.new("RGB", (160, 120), "green"))
        for behind in (other, other[: len(other) // 2], b"ftypmp42" + bytes(range(256)) * 9, b"\xff"):
            assert colour(content + behind) == colour(content)
        assert colour(content[:-2] + other) == colour(content)

    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_truncated_file_is_refused(self, kind: str, share: float, mode: str) -> None:
        content = jpeg(noise().convert(mode), **KINDS[kind])
        begin = first_scan(content) + 14
        assert not is_taken(content[: begin + round((len(content) - begin) * share)])

    @pytest.mark.parametrize("cut", range(1, 60))
    @pytest.mark.parametrize("kind", ["baseline", "4:4:4", "restart intervals"])
    def test_a_truncated_file_with_an_end_marker_is_refused(self, kind: str, cut: int) -> None:
        content = jpeg(**KINDS[kind])
        begin = first_scan(content) + 14
        assert not is_taken(content[: begin + (len(content) - begin) * cut // 64] + b"\xff\xd9")

    def test_a_truncated_coarse_scan_with_an_end_marker_is_refused(self) -> None:
        content = jpeg(progressive=True)
        begin = first_scan(content)
        second = content.index(b"\xff\xda", begin + 2)
        assert not is_taken(content[: (begin + second) // 2] + b"\xff\xd9")
        assert jpeg_structure.read(content).check is Check.NONE

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_picture_may_really_be_gray_in_its_corner(self, kind: str) -> None:
        image = noise()
        image.paste((128, 128, 128), (80, 60, 160, 120))
        content = jpeg(image, **KINDS[kind])
        assert is_taken(content)
        assert is_taken(content[:-2])

    @pytest.mark.parametrize(
        "content", [b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xc0\0\x11\x08", b"\xff\xd8\xff\xda\0\2"]
    )
    def test_a_file_without_frame_or_scan_is_damaged(self, content: bytes) -> None:
        with pytest.raises(UndecodableImageError):
            jpeg_structure.read(content)


def frame(marker: int, bits: int = 8, components: int = 1, height: int = 48) -> bytes:
    data = struct.pack(">BHHB", bits, height, 64, components)
    return b"\xff\xd8" + segment(marker, data + b"".join(bytes((at, 0x11, 0)) for at in range(components)))


class TestKinds:
    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (frame(0xC1, bits=12), "JPEG with 12 bits per sample"),
            (frame(0xC2, bits=12), "JPEG with 12 bits per sample"),
            (frame(0xC3, bits=16), "lossless JPEG with 16 bits per sample"),
            (frame(0xC5), "hierarchical JPEG"),
            (frame(0xDE), "hierarchical JPEG"),
            (frame(0xCB), "lossless JPEG with arithmetic coding"),
            (frame(0xF7), "JPEG-LS"),
            (frame(0xC0, components=2), "JPEG with 2 colour components"),
            (frame(0xC0, height=0), "JPEG that gives its height after its pixels"),
        ],
    )
    def test_a_kind_that_cannot_be_decoded_is_named(self, content: bytes, kind: str) -> None:
        with pytest.raises(UnsupportedImageError) as refused:
            jpeg_structure.read(content)
        assert f"not supported: {kind}." in str(refused.value)
        assert "damaged" not in str(refused.value)

    def test_a_lossless_jpeg_of_eight_bits_is_decoded(self) -> None:
        # Each pixel is its left neighbour plus a difference. The code '0' means no difference.
        # The first pixel has the middle value, 128.
        tables = segment(0xC4, b"\0" + bytes([1] + [0] * 15) + b"\0")
        scan = segment(0xDA, b"\1\0\0\1\0\0") + bytes(64 * 48 // 8)
        picture = pictures.decode(frame(0xC3) + tables + scan + b"\xff\xd9", NOW, 10_000)
        assert picture.pixels.getextrema() == (128, 128)

    @pytest.mark.parametrize("size", [0, 65_000, 65_300, 130_000, 400_000])
    def test_an_arithmetic_jpeg_of_any_size_is_decoded(self, size: int) -> None:
        # Pillow reads blocks of 64 KiB. The comments move the pixels across the border between two blocks.
        content = behind_start(ARITHMETIC, *[segment(0xFE, bytes(size // 8))] * 8)
        left, right = (pictures.decode(content, NOW, 10_000).pixels.getpixel((x, 16)) for x in (10, 38))
        assert isinstance(left, tuple)
        assert isinstance(right, tuple)
        assert np.abs(np.subtract(left, (200, 40, 40))).max() <= 12
        assert np.abs(np.subtract(right, (40, 60, 200))).max() <= 12

    def test_an_arithmetic_jpeg_needs_its_end_marker(self) -> None:
        with pytest.raises(UndecodableImageError):
            jpeg_structure.read(ARITHMETIC[:-2])


class TestCosts:
    def test_too_many_scans_are_refused(self) -> None:
        content = jpeg(Image.new("L", (8, 8)), progressive=True)
        last = content[content.rindex(b"\xff\xda") : -2]
        assert is_taken(content[:-2] + 400 * last + content[-2:])
        with pytest.raises(ImageTooLargeError, match="too many scans"):
            jpeg_structure.read(content[:-2] + 501 * last + content[-2:])

    def test_scans_count_by_the_blocks_that_they_visit(self) -> None:
        content = jpeg(Image.new("L", (4000, 4000)), progressive=True)
        last = content[content.rindex(b"\xff\xda") : -2]
        jpeg_structure.read(content[:-2] + 60 * last + content[-2:])
        with pytest.raises(ImageTooLargeError, match="too many scans"):
            jpeg_structure.read(content[:-2] + 90 * last + content[-2:])

    def test_a_progressive_file_that_needs_too_much_memory_is_refused(self) -> None:
        content = bytearray(jpeg(progressive=True, subsampling=0))
        place = content.index(b"\xff\xc2")
        content[place + 5 : place + 9] = struct.pack(">HH", 7_300, 7_300)
        with pytest.raises(ImageTooLargeError, match="too much memory"):
            jpeg_structure.read(bytes(content))

    def test_too_many_segments_are_refused(self) -> None:
        assert is_taken(behind_start(jpeg(), 9_000 * segment(0xE5, b"")))
        with pytest.raises(ImageTooLargeError, match="segments"):
            jpeg_structure.read(behind_start(jpeg(), 10_000 * segment(0xE5, b"")))


def test_the_copy_is_decoded_to_the_same_pixels() -> None:
    for options in KINDS.values():
        content = behind_start(jpeg(**options), ORIENTED)
        copy = Image.open(BytesIO(jpeg_structure.read(content).content))
        assert copy.tobytes() == Image.open(BytesIO(content)).tobytes()

"""Files within the limits that cost as much as possible: many pixels, scans, segments or chunks."""

import random
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from io import BytesIO

from PIL import Image, ImageCms

from tests.jpeg_bytes import behind_start, segment
from tests.png_bytes import SIGNATURE, chunk

# The side of a square of 50 megapixels.
_SIDE = 7_071
_BLOCK_BYTES = 1_000_000
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True)
class CostlyFile:
    """A file and its expected status. `make` generates the file when a test needs it."""

    case: str
    make: Callable[[], bytes]
    status: int = 200

    def __str__(self) -> str:
        return self.case


def costly_files() -> list[CostlyFile]:
    return [*_pngs(), *_png_chunks(), *_jpegs(), *_jpeg_segments()]


def png_of_pixels(megapixels: int) -> bytes:
    """Return an RGB image whose samples Pillow keeps in four bytes per pixel."""
    return _png(10_000, megapixels * 100, 8, 2)


def gray_png_of_pixels(megapixels: int) -> bytes:
    """Return a gray image with 8 bits per pixel."""
    return _png(10_000, megapixels * 100, 8, 0)


def _pngs() -> Iterable[CostlyFile]:
    transparent = chunk(b"tRNS", bytes(6))
    palette = chunk(b"PLTE", bytes(range(256)) * 3) + chunk(b"tRNS", bytes(range(256)))
    profile = zlib.compress(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    square = partial(_png, _SIDE, _SIDE)
    yield CostlyFile("PNG at the limit, RGB", partial(square, 8, 2))
    yield CostlyFile("PNG at the limit, RGB with a transparent colour", partial(square, 8, 2, transparent))
    yield CostlyFile("PNG at the limit, RGBA", partial(square, 8, 6))
    yield CostlyFile("PNG at the limit, RGBA, interlaced", partial(_interlaced_png, _SIDE))
    yield CostlyFile("PNG at the limit, palette with alpha", partial(square, 8, 3, palette))
    yield CostlyFile("PNG at the limit, gray of 16 bits", partial(square, 16, 0, chunk(b"tRNS", bytes(2))))
    yield CostlyFile("PNG at the limit, gray and alpha of 16 bits", partial(square, 16, 4))
    yield CostlyFile("PNG at the limit, RGB of 16 bits", partial(square, 16, 2))
    yield CostlyFile(
        "PNG of 25 megapixels, RGB of 16 bits with a transparent colour",
        partial(_png, 5000, 5000, 16, 2, transparent),
    )
    yield CostlyFile("PNG at the limit, RGBA of 16 bits", partial(square, 16, 6), 413)
    yield CostlyFile(
        "PNG of 65,000 x 768 with alpha and a profile",
        partial(_png, 65_000, 768, 8, 6, chunk(b"iCCP", b"p\0\0" + profile)),
    )
    yield CostlyFile("PNG of one row of 50 megapixels", partial(_png, 50_000_000, 1, 1, 0), 413)
    yield CostlyFile("PNG of one column of 50 megapixels", partial(_png, 1, 50_000_000, 1, 0), 413)


def _png_chunks() -> Iterable[CostlyFile]:
    def with_chunks(make: Callable[[], bytes]) -> bytes:
        return SIGNATURE + _header(8, 8, 8, 2) + make() + chunk(b"IDAT", zlib.compress(bytes(25 * 8))) + _END

    bomb = chunk(b"zTXt", b"Creation Time\0\0" + zlib.compress(bytes(1_000_000), 9))
    # Each of 65,535 entries claims to hold four megabytes.
    entry = struct.pack("<HHII", 0x9286, 7, 4_000_000, 8)
    exif = b"II*\0\x08\0\0\0\xff\xff" + 65_535 * entry + bytes(3_000_000)
    for case, make in {
        "PNG with 370,000 empty text chunks": lambda: 370_000 * chunk(b"tEXt", b""),
        "PNG with 370,000 empty data chunks": lambda: 370_000 * chunk(b"IDAT", b""),
        "PNG with 4,000 dates that inflate to a megabyte each": lambda: 4_000 * bomb,
        "PNG with EXIF that claims 262 GB": lambda: chunk(b"eXIf", exif),
    }.items():
        yield CostlyFile(case, partial(with_chunks, make))


def _jpegs() -> Iterable[CostlyFile]:
    def photograph(width: int = _SIDE, height: int = _SIDE, mode: str = "RGB") -> Image.Image:
        noise = Image.frombytes("RGB", (60, 60), random.Random(1).randbytes(60 * 60 * 3))
        return noise.resize((width, height), Image.Resampling.BICUBIC).convert(mode)

    def jpeg(image: Image.Image, **options: object) -> bytes:
        stream = BytesIO()
        image.save(stream, "JPEG", quality=20, **options)
        return stream.getvalue()

    def gray_corner() -> Image.Image:
        image = photograph()
        image.paste((128, 128, 128), (_SIDE - 64, _SIDE - 64, _SIDE, _SIDE))
        return image

    full: dict[str, object] = {"subsampling": 0}
    progressive: dict[str, object] = {"progressive": True}
    yield CostlyFile("JPEG at the limit", lambda: jpeg(photograph(), **full))
    yield CostlyFile("JPEG at the limit, CMYK", lambda: jpeg(photograph(mode="CMYK")))
    yield CostlyFile("JPEG at the limit, gray in its corner", lambda: jpeg(gray_corner(), **full))
    yield CostlyFile("JPEG at the limit, progressive", lambda: jpeg(photograph(), **progressive, **full))
    yield CostlyFile(
        "JPEG at the limit, progressive, gray in its corner", lambda: jpeg(gray_corner(), **progressive, **full)
    )
    yield CostlyFile("JPEG at the limit, progressive, without its end", lambda: jpeg(photograph(), **progressive)[:-2])
    yield CostlyFile("JPEG at the limit, progressive, CMYK", lambda: jpeg(photograph(mode="CMYK"), **progressive), 413)
    yield CostlyFile("JPEG of 65,000 x 768", lambda: jpeg(photograph(65_000, 768), **full))
    yield CostlyFile("JPEG of 65,000 x 768, progressive", lambda: jpeg(photograph(65_000, 768), **progressive, **full))

    def scans(side: int, times: int) -> bytes:
        content = jpeg(Image.new("L", (side, side), 90), **progressive)
        last = content[content.rindex(b"\xff\xda") : -2]
        return content[:-2] + times * last + content[-2:]

    yield CostlyFile("JPEG of 49 megapixels with 20 more scans", lambda: scans(7_000, 20))
    for side, times in ((7_000, 300), (7_000, 1_500), (_SIDE, 12_000), (8, 100_000)):
        yield CostlyFile(f"JPEG of {side} x {side} with {times:,} more scans", partial(scans, side, times), 413)


def _jpeg_segments() -> Iterable[CostlyFile]:
    stream = BytesIO()
    Image.new("RGB", (64, 48), "orange").save(stream, "JPEG")
    small = stream.getvalue()

    def with_segments(make: Callable[[], bytes]) -> bytes:
        return behind_start(small, make())

    for case, make, status in (
        ("JPEG with 200,000 EXIF segments", lambda: 200_000 * segment(0xE1, b"Exif\0\0" + bytes(10)), 413),
        ("JPEG with a million empty segments", lambda: 1_000_000 * segment(0xE5, b""), 413),
        ("JPEG with 60,000 quantisation tables", lambda: 60_000 * segment(0xDB, b"\0" + 64 * b"\1"), 413),
        ("JPEG with four megabytes of fill bytes", lambda: 4_000_000 * b"\xff", 200),
        ("JPEG with four megabytes of stuffed bytes", lambda: 2_000_000 * b"\xff\0", 200),
        (
            "JPEG with 68 first chunks of a profile",
            lambda: 68 * segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(65_000)),
            200,
        ),
        ("JPEG with 68 comments", lambda: 68 * segment(0xFE, bytes(65_000)), 200),
    ):
        yield CostlyFile(case, partial(with_segments, make), status)


_END = chunk(b"IEND", b"")


def _header(width: int, height: int, bits: int, colour_type: int, interlacing: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">2I5B", width, height, bits, colour_type, 0, 0, interlacing))


def _png(width: int, height: int, bits: int, colour_type: int, extra: bytes = b"") -> bytes:
    """Return a PNG whose rows all equal the first row, which is noise. They use the Paeth filter, the slowest one."""
    row = _noise(-(-width * bits * _SAMPLES[colour_type] // 8))
    equal = b"\4" + bytes(len(row))
    # The rows are compressed in blocks, because one call per row takes half a minute for 50 million rows.
    block = max(1, _BLOCK_BYTES // len(equal)) * equal
    blocks, rest = divmod((height - 1) * len(equal), len(block))
    rows = _compressed([b"\0" + row, *[block] * blocks, block[:rest]])
    return SIGNATURE + _header(width, height, bits, colour_type) + extra + chunk(b"IDAT", rows) + _END


def _interlaced_png(side: int) -> bytes:
    def rows() -> Iterable[bytes]:
        for left, top, across, down in _ADAM7:
            row = 4 * -(-(side - left) // across)
            yield b"\4" + _noise(row)
            yield from [b"\4" + bytes(row)] * (-(-(side - top) // down) - 1)

    return SIGNATURE + _header(side, side, 8, 6, 1) + chunk(b"IDAT", _compressed(rows())) + _END


def _noise(length: int) -> bytes:
    """Return bytes that begin with noise. The rest are zeros, so that the file does not become too large."""
    return random.Random(1).randbytes(min(length, 500_000)).ljust(length, b"\0")


def _compressed(rows: Iterable[bytes]) -> bytes:
    stream = zlib.compressobj(3)
    return b"".join([*map(stream.compress, rows), stream.flush()])

"""Hostile files that a client might send, and the expected status of each. They are generated in each run."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from PIL import Image

from tests.pictures import OTHER_FORMATS, encode
from tests.png_bytes import chunk

# Must never be in a thumbnail.
SECRET = b"SECRET-OF-THE-SENDER"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Hostile:
    """A file, the name that is sent with it, and the expected status. `shown` is the name in a 200 response."""

    case: str
    content: bytes
    status: int
    filename: str = "picture"
    shown: str | None = None

    def __str__(self) -> str:
        return self.case


def files() -> list[Hostile]:
    return [*_bombs(), *_damaged(), *_kinds(), *_metadata(), *_polyglots(), *_names()]


def _bombs() -> Iterator[Hostile]:
    jpeg = encode(_picture(), "JPEG")
    frame = jpeg.index(b"\xff\xc0")
    huge = jpeg[: frame + 5] + struct.pack(">HH", 65500, 65500) + jpeg[frame + 9 :]
    yield Hostile("JPEG that claims 4.3 gigapixels", huge, 413)
    for side in (7_072, 100_000, 2**31 - 1):
        claim = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        yield Hostile(f"PNG that claims {side} x {side}", _png(claim), 413)
    yield Hostile("PNG of 50.4 megapixels in 6 kB", encode(Image.new("1", (7100, 7100))), 413)
    zeros = zlib.compress(bytes(100_000_000), 9)
    for kind, head in (
        (b"zTXt", b"Comment\0\0"),
        (b"iTXt", b"Comment\0\1\0\0\0"),
        (b"iCCP", b"profile\0\0"),
    ):
        yield Hostile(f"{kind.decode()} of 100 MB in 100 kB", _png(extra=chunk(kind, head + zeros)), 200)
    yield Hostile("IDAT of 100 MB in 100 kB", _png(data=zeros), 200)
    yield Hostile("a thousand text chunks", _png(extra=chunk(b"tEXt", b"Comment\0" + b"x" * 1000) * 1000), 200)
    animation = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield Hostile("APNG of two billion frames", _png(extra=animation), 200)
    yield Hostile("APNG of no frames", _png(extra=chunk(b"acTL", struct.pack(">II", 0, 0))), 200)


def _damaged() -> Iterator[Hostile]:
    png, jpeg = encode(_picture()), encode(_picture(), "JPEG")
    for end in (9, 16, 30, 33, 40, len(png) // 2, len(png) - 30):
        yield Hostile(f"PNG cut after {end} bytes", png[:end], 400)
    for end in (3, 20, 100, 300, len(jpeg) // 2, len(jpeg) - 30):
        yield Hostile(f"JPEG cut after {end} bytes", jpeg[:end], 400)
    yield Hostile("signature of a PNG and nothing more", _SIGNATURE, 400)
    yield Hostile("start of a JPEG and nothing more", b"\xff\xd8", 415)
    yield Hostile("PNG with a wrong checksum in its header", png[:29] + b"\0\0\0\0" + png[33:], 400)
    data = png.index(b"IDAT")
    yield Hostile("PNG with a wrong byte in its data", png[: data + 20] + b"\xaa\xaa" + png[data + 22 :], 400)
    yield Hostile("PNG without a header", _SIGNATURE + png[33:], 400)
    yield Hostile("PNG with its data before its header", _SIGNATURE + png[33:] + png[8:33], 400)
    yield Hostile("PNG without data", png[:33] + png[-12:], 400)
    for width, height in ((0, 5), (5, 0)):
        claim = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        yield Hostile(f"PNG of {width} x {height}", _png(claim), 400)
    yield Hostile("PNG of an unknown depth", _png(struct.pack(">IIBBBBB", 8, 8, 7, 2, 0, 0, 0)), 400)
    yield Hostile("palette PNG without a palette", _png(struct.pack(">IIBBBBB", 8, 8, 8, 3, 0, 0, 0)), 400)
    # The data is complete, and Pillow reads only as much as it needs.
    yield Hostile("PNG whose data claims two gigabytes", png[:33] + b"\x7f\xff\xff\xffIDAT" + png[41:], 200)
    half = jpeg[: len(jpeg) // 2 + 200]
    yield Hostile("half a JPEG", half, 400)
    yield Hostile("half a JPEG with an end marker", half + b"\xff\xd9", 400)
    yield Hostile("JPEG without its end marker", jpeg[:-2], 200)
    yield Hostile(
        "JPEG with the notes of a phone instead of its end marker", jpeg[:-2] + b"SEFH" + bytes(300) + b"SEFT", 200
    )
    for name, wrong_data in {
        b"pHYs": b"\0\0",
        b"iCCP": b"p\0\1x",
        b"tIME": b"\0",
        b"eXIf": b"\0\x08",
        b"zTXt": b"a\0\1b",
    }.items():
        yield Hostile(f"PNG with {name.decode()} that is too short or wrong", _png(extra=chunk(name, wrong_data)), 200)
        wrong = chunk(name, bytes(9))[:-1] + b"x"
        yield Hostile(f"PNG with {name.decode()} and a wrong checksum", _png(extra=wrong), 200)
    yield Hostile("JPEG with noise after its start", b"\xff\xd8\xff" + bytes(range(256)) * 40, 400)


def _kinds() -> Iterator[Hostile]:
    picture = _picture()
    for mode in ("1", "L", "LA", "I;16", "P", "RGB", "RGBA"):
        yield Hostile(f"PNG in mode {mode}", encode(picture.convert(mode)), 200)
    for mode in ("L", "RGB", "CMYK"):
        yield Hostile(f"JPEG in mode {mode}", encode(picture.convert(mode), "JPEG"), 200)
    yield Hostile("progressive JPEG", encode(picture, "JPEG", progressive=True), 200)
    yield Hostile("JPEG with restart markers", encode(picture, "JPEG", restart_marker_blocks=1), 200)
    for bits in (2, 12, 16):
        frame = struct.pack(">BHHB", bits, 48, 64, 1) + b"\1\x11\0"
        yield Hostile(f"JPEG of {bits} bits per sample", b"\xff\xd8\xff\xc1" + struct.pack(">H", 11) + frame, 415)
    frame = struct.pack(">BHHB", 8, 48, 64, 1) + b"\1\x11\0"
    for marker, kind in ((0xC5, "hierarchical JPEG"), (0xCB, "lossless arithmetic JPEG"), (0xF7, "JPEG-LS")):
        yield Hostile(kind, b"\xff\xd8\xff" + bytes([marker]) + struct.pack(">H", 11) + frame, 415)
    yield Hostile("PNG in the CgBI format of Apple", _SIGNATURE + chunk(b"CgBI", bytes(4)) + encode(picture)[8:], 415)
    second = BytesIO()
    picture.save(second, "MPO", save_all=True, append_images=[picture])
    yield Hostile("MPO", second.getvalue(), 200)
    yield Hostile("animated PNG", encode(picture, save_all=True, append_images=[picture.rotate(90)]), 200)
    yield Hostile("PNG of one pixel", encode(Image.new("RGB", (1, 1))), 200)
    yield Hostile("PNG of one row", encode(Image.new("RGB", (20_000, 1))), 200)


def _metadata() -> Iterator[Hostile]:
    picture = _picture()
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield Hostile(f"orientation {orientation}", encode(picture, "JPEG", exif=exif), 200)
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = SECRET.decode()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.0), 29: SECRET.decode()})
    yield Hostile("JPEG with GPS and names", encode(picture, "JPEG", exif=exif, comment=SECRET), 200)
    text = chunk(b"tEXt", b"Author\0" + SECRET)
    yield Hostile("PNG with GPS and names", encode(picture, exif=exif), 200)
    yield Hostile("PNG with text", _png(extra=text), 200)
    for name, block in {
        "nothing": b"",
        "no TIFF header": b"garbage" * 10,
        "an offset past its end": b"II*\0\xff\xff\xff\xff",
        "a directory that names itself as the next one": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "65535 entries": b"II*\0\x08\0\0\0\xff\xff" + bytes(200),
        "a text of four gigabytes": b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x010E, 2, 2**32 - 1, 8) + bytes(4),
        "a rational over zero": b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x011A, 5, 1, 26) + bytes(12),
        "an orientation that is a text": b"II*\0\x08\0\0\0\1\0"
        + struct.pack("<HHI", 0x0112, 2, 4)
        + b"abc\0"
        + bytes(4),
        "a date from year 0": _exif_date(b"0000:00:00 00:00:00\0"),
        "a text instead of a date": _exif_date(b"<b>yesterday</b>   \0"),
    }.items():
        yield Hostile(f"EXIF with {name}", encode(picture, "JPEG", exif=b"Exif\0\0" + block), 200)


def _polyglots() -> Iterator[Hostile]:
    picture = _picture()
    page = b"<html><script>alert(1)</script>" + SECRET + b"</html>"
    archive = BytesIO()
    with ZipFile(archive, "w") as opened:
        opened.writestr("secret.txt", SECRET)
    yield Hostile("JPEG with an HTML page after its end", encode(picture, "JPEG") + page, 200)
    yield Hostile("JPEG with an HTML page in its comment", encode(picture, "JPEG", comment=page), 200)
    yield Hostile("PNG with a ZIP archive after its end", encode(picture) + archive.getvalue(), 200)
    for image_format in (*OTHER_FORMATS, "TGA"):
        yield Hostile(f"{image_format} named .jpg", encode(picture, image_format), 415, "picture.jpg")
    yield Hostile("SVG named .png", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', 415, "picture.png")
    yield Hostile("ZIP archive named .png", archive.getvalue(), 415, "picture.png")
    yield Hostile("HTML page before a JPEG", page + encode(picture, "JPEG"), 415, "picture.jpg")


def _names() -> Iterator[Hostile]:
    for case, sent, shown in (
        ("path", "../../../etc/passwd", "passwd"),
        ("Windows path", "C:\\Windows\\system32\\picture.png", "picture.png"),
        ("NUL", "a\0b.png", "ab.png"),
        ("text that runs backwards", "\u202egnp.exe", "gnp.exe"),
        ("emoji", "🖼️.png", "🖼️.png"),
        ("markup", "<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("3,000 characters", "n" * 3_000, "n" * 255),
        ("nothing but dots and slashes", "../../", "unnamed"),
    ):
        yield Hostile(f"name: {case}", encode(_picture()), 200, sent, shown)
    yield Hostile("name: 10,000 characters", encode(_picture()), 400, "n" * 10_000)
    # The empty line in the name ends the headers. The file then begins with <b>, so it is not an image.
    yield Hostile(
        "name: with a header and an empty line", encode(_picture()), 415, 'a.png"\r\nContent-Type: text/html\r\n\r\n<b>'
    )


def _picture() -> Image.Image:
    picture = Image.new("RGB", (64, 48), "navy")
    picture.paste("orange", (8, 8, 40, 30))
    return picture


def _png(header: bytes | None = None, *, data: bytes | None = None, extra: bytes = b"") -> bytes:
    header = header or struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = data or zlib.compress(bytes(8 * (1 + 8 * 3)))
    return _SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _exif_date(text: bytes) -> bytes:
    entry: tuple[Any, ...] = (0x0132, 2, len(text), 26)
    return b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", *entry) + bytes(4) + text

"""The structure of a PNG file (W3C PNG, third edition).

The decoder gets a copy of the file with the header, the palette and the pixels only. It never sees other chunks.
Therefore a damaged or hostile chunk can neither spoil the picture nor crash the process.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from image_pipeline.errors import UndecodableImageError, UnsupportedImageError
from image_pipeline.models import ImageFormat
from image_processing.files import exif
from image_processing.files.exif import Exif

GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
_SAMPLES_PER_PIXEL = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}
_HEADER = struct.Struct(">2I5B")
_CHUNK_START = struct.Struct(">I4s")
_CRC = struct.Struct(">I")
# The ancillary chunks that are used. Of each kind, the first undamaged one counts.
_USED_CHUNKS = {b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"tIME"}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_CREATION_TIME = b"Creation Time"
# ImageMagick wrote EXIF as hexadecimal text before PNG had a chunk for EXIF.
_EXIF_AS_TEXT = b"Raw profile type exif"
_KEYWORDS = {_CREATION_TIME, _EXIF_AS_TEXT}
_EXIF_HEADER = b"Exif\0\0"
_MAX_PALETTE_BYTES = 3 * 256
_MAX_PROFILE_BYTES = 4_000_000
_MAX_TEXT_BYTES = 200_000
_RENDERING_INTENTS = 4


@dataclass(frozen=True)
class Png:
    """A PNG file. `content` is the copy for the decoder.

    `transparent` has the samples of the one transparent colour, in an image without palette. `gamma` is in units of
    1/100,000. So are the `chromaticities`: x and y of white, red, green and blue. `modified` has year, month, day,
    hour, minute and second, in UTC.
    """

    content: bytes
    width: int
    height: int
    bit_depth: int
    colour_type: int
    transparent: tuple[int, ...] | None
    exif: Exif | None
    icc_profile: bytes | None
    cicp: bytes | None
    is_srgb: bool
    gamma: int | None
    chromaticities: tuple[int, ...] | None
    creation_time: str | None
    modified: tuple[int, ...] | None

    @property
    def sample_bytes(self) -> int:
        """The number of bytes of all samples, uncompressed."""
        return self.height * -(-self.width * self.bit_depth * _SAMPLES_PER_PIXEL[self.colour_type] // 8)


def read(content: bytes) -> Png:
    """Read a file that begins with the signature of PNG. The time is proportional to the length of the file.

    Does not notice damaged or missing pixels. Raises UnsupportedImageError for a kind of PNG that cannot be decoded,
    and UndecodableImageError if the header or the palette is damaged.
    """
    header, palette = b"", b""
    pixels: list[bytes] = []
    found: dict[bytes, bytes] = {}
    for name, data, is_whole in _chunks(content):
        if name == b"CgBI":
            raise UnsupportedImageError.of_kind("PNG in Apple's own variant (CgBI)")
        if not header:
            if name != b"IHDR" or not is_whole:
                raise UndecodableImageError
            header = data
        elif name == b"IDAT":
            pixels.append(data)
        elif name == b"IEND":
            break
        elif is_whole and name == b"PLTE":
            palette = palette or data
        elif is_whole:
            _keep(found, name, data)
    if not pixels:
        raise UndecodableImageError
    return _described(header, palette, b"".join(pixels), found)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield the name and the data of each chunk, and whether its checksum is right. The last chunk may be cut."""
    place = len(ImageFormat.PNG.signature)
    while place + _CHUNK_START.size <= len(content):
        length, name = _CHUNK_START.unpack_from(content, place)
        start = place + _CHUNK_START.size
        place = start + length + _CRC.size
        data = content[start : start + length]
        # Pixel data has a second checksum, by zlib. Chunks that are not used need none.
        is_checked = name in _USED_CHUNKS or name in _TEXTS or name in {b"IHDR", b"PLTE"}
        yield name, data, is_checked and content[place - _CRC.size : place] == _CRC.pack(zlib.crc32(name + data))


def _described(header: bytes, palette: bytes, pixels: bytes, found: dict[bytes, bytes]) -> Png:
    """Return the file with these parts. Raises UnsupportedImageError and UndecodableImageError."""
    if len(header) != _HEADER.size:
        raise UndecodableImageError
    width, height, bit_depth, colour_type, compression, filtering, _ = _HEADER.unpack(header)
    if width == 0 or height == 0 or colour_type not in _SAMPLES_PER_PIXEL:
        raise UndecodableImageError
    if compression or filtering:
        raise UnsupportedImageError.of_kind("PNG with an unknown compression or filter method")
    chunks = [_chunk(b"IHDR", header)]
    if colour_type == PALETTE:
        if not palette or len(palette) > _MAX_PALETTE_BYTES or len(palette) % 3:
            raise UndecodableImageError
        chunks.append(_chunk(b"PLTE", palette))
        if 0 < len(found.get(b"tRNS", b"")) <= len(palette) // 3:
            chunks.append(_chunk(b"tRNS", found[b"tRNS"]))
    return Png(
        content=b"".join((ImageFormat.PNG.signature, *chunks, _chunk(b"IDAT", pixels), _chunk(b"IEND", b""))),
        width=width,
        height=height,
        bit_depth=bit_depth,
        colour_type=colour_type,
        transparent=_transparent(found.get(b"tRNS", b""), bit_depth, colour_type),
        exif=exif.read(found.get(b"eXIf", b"")) or _exif_from_text(found.get(_EXIF_AS_TEXT, b"")),
        icc_profile=_profile(found.get(b"iCCP", b"")),
        cicp=found.get(b"cICP"),
        is_srgb=len(intent := found.get(b"sRGB", b"")) == 1 and intent[0] < _RENDERING_INTENTS,
        gamma=(_numbers(">I", found.get(b"gAMA", b"")) or (None,))[0],
        chromaticities=_numbers(">8I", found.get(b"cHRM", b"")),
        creation_time=found[_CREATION_TIME].decode("utf-8", "replace") if _CREATION_TIME in found else None,
        modified=_numbers(">H5B", found.get(b"tIME", b"")),
    )


def _numbers(layout: str, data: bytes) -> tuple[int, ...] | None:
    return struct.unpack(layout, data) if len(data) == struct.calcsize(layout) else None


def _transparent(data: bytes, bit_depth: int, colour_type: int) -> tuple[int, ...] | None:
    samples = _numbers(f">{_SAMPLES_PER_PIXEL[colour_type]}H", data) if colour_type in {GRAY, RGB} else None
    # With fewer than 16 bits per sample, only the lowest bits of each number count (11.3.1.1).
    return tuple(sample & (1 << bit_depth) - 1 for sample in samples) if samples else None


def _profile(data: bytes) -> bytes | None:
    """Return the profile of an iCCP chunk. In the chunk, a name comes first."""
    return _inflated(data.partition(b"\0")[2], _MAX_PROFILE_BYTES)


def _keep(found: dict[bytes, bytes], name: bytes, data: bytes) -> None:
    """Add a chunk to `found` by its name, or a text by its keyword, if it is used and the first of its kind."""
    if name in _USED_CHUNKS:
        found.setdefault(name, data)
        return
    keyword, _, text = data.partition(b"\0")
    if name not in _TEXTS or keyword not in _KEYWORDS or keyword in found:
        return
    is_compressed = name == b"zTXt"
    if name == b"iTXt":
        # These fields come before the text: compression flag, compression method, language, translated keyword.
        is_compressed = text[:1] == b"\1"
        text = text[1:2] + text[2:].split(b"\0", 2)[-1]
    elif name == b"tEXt":
        text = b"\0" + text
    # The first byte is the compression method. An invalid text is kept too, so that a file cannot make us inflate
    # thousands of texts.
    found[keyword] = (_inflated(text, _MAX_TEXT_BYTES) or b"") if is_compressed else text[1:]


def _exif_from_text(text: bytes) -> Exif | None:
    """Read EXIF from a text by ImageMagick. The text has a name, a length, and the bytes as hexadecimal digits."""
    try:
        block = bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        return None
    return exif.read(block.removeprefix(_EXIF_HEADER))


def _inflated(data: bytes, limit: int) -> bytes | None:
    """Inflate data whose first byte is the compression method, which must be 0 for zlib.

    Returns None if the data is damaged or incomplete, or would inflate to more than `limit` bytes.
    """
    if data[:1] != b"\0":
        return None
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(data[1:], limit)
    except zlib.error:
        return None
    return inflated if stream.eof else None


def _chunk(name: bytes, data: bytes) -> bytes:
    return _CHUNK_START.pack(len(data), name) + data + _CRC.pack(zlib.crc32(name + data))

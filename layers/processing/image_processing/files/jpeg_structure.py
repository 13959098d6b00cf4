"""The structure of a JPEG file (ITU-T T.81).

The decoder gets a copy of the file with the frame, the tables and the scans only. It never sees headers that no pixel
depends on. Therefore a damaged or hostile header can neither spoil the picture nor crash the process.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from image_pipeline.errors import ImageTooLargeError, UndecodableImageError
from image_processing.files import exif, jpeg_frame
from image_processing.files.exif import Exif
from image_processing.files.jpeg_frame import Check, Frame, Scans

END_OF_IMAGE = b"\xff\xd9"

_START_OF_IMAGE = b"\xff\xd8"
_SOI, _EOI, _SOS, _APP0, _APP1, _APP2, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
# The markers without length and content: TEM, the restart markers, SOI and EOI.
_STANDALONE = {0x01, *range(0xD0, 0xDA)}
# DHT, DAC, DQT and DRI. They may come before any scan.
_TABLES = {0xC4, 0xCC, 0xDB, 0xDD}
_MARKER = re.compile(rb"\xff[^\x00\xff]")
# A scan may contain restart markers and stuffed zeros.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_JFIF_HEADER, _EXIF_HEADER, _ICC_HEADER, _ADOBE_HEADER = b"JFIF\0", b"Exif\0", b"ICC_PROFILE\0", b"Adobe"
_JFIF_BYTES, _ADOBE_BYTES, _TIFF_START = 14, 12, 6
# An ordinary file has a few dozen segments. Even a short segment takes time.
_MAX_SEGMENTS = 10_000


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file. `content` is the copy for the decoder. It always ends with an end marker.

    `buffered_bytes` is the memory that the decoder needs in addition to the pixels. `is_adobe` tells whether the file
    has an Adobe header, which means that inks are inverted.
    """

    content: bytes
    frame: Frame
    buffered_bytes: int
    check: Check
    is_adobe: bool
    exif: Exif | None
    icc_profile: bytes | None

    @property
    def width(self) -> int:
        return self.frame.width

    @property
    def height(self) -> int:
        return self.frame.height


def read(content: bytes) -> Jpeg:
    """Read a file that begins with the signature of JPEG. The time is proportional to the length of the file.

    Ignores data after the image, such as further images and videos from phones. Does not notice pixels that are
    missing within a scan. Raises UnsupportedImageError for a kind of JPEG that cannot be decoded, ImageTooLargeError
    if decoding costs too much, and UndecodableImageError for a damaged or incomplete file.
    """
    headers, parts = _Headers(), [_START_OF_IMAGE]
    scans: Scans | None = None
    is_ended = False
    for marker, segment, data in _segments(content):
        if marker == _EOI:
            is_ended = True
        elif scans and (scans.are_all_there or marker in {_SOI, *jpeg_frame.MARKERS}):
            break
        elif marker in _TABLES:
            parts.append(segment)
        elif marker in jpeg_frame.MARKERS:
            scans = Scans(jpeg_frame.read(marker, data))
            parts.append(segment)
        elif marker == _SOS and scans:
            scans.add(data)
            parts.append(segment)
        else:
            headers.add(marker, data)
    if scans is None:
        raise UndecodableImageError
    parts[1:1] = [headers.jfif, headers.adobe]
    return Jpeg(
        content=b"".join((*parts, END_OF_IMAGE)),
        frame=scans.frame,
        buffered_bytes=scans.buffered_bytes,
        check=scans.check(is_ended=is_ended),
        is_adobe=bool(headers.adobe),
        exif=headers.exif,
        icc_profile=headers.icc_profile(),
    )


def _segments(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the marker, all bytes and the content of each segment. Stops at the end marker or at a cut segment.

    The bytes of an SOS segment include its scan. Raises ImageTooLargeError for too many segments.
    """
    place = len(_START_OF_IMAGE)
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(content, place)
        if found is None:
            return
        marker, begin, start = content[found.end() - 1], found.start(), found.end()
        if marker in _STANDALONE:
            yield marker, b"", b""
            place = start
            if marker == _EOI:
                return
            continue
        # A length includes its own two bytes, so a smaller value is wrong.
        place = start + max(int.from_bytes(content[start : start + 2], "big"), 2)
        if place > len(content):
            return
        segment, data = content[begin:place], content[start + 2 : place]
        if marker == _SOS:
            end = _END_OF_SCAN.search(content, place)
            scan_end = end.start() if end else len(content)
            # A cut scan may end with the first half of a stuffed byte. The end marker after it would then be misread.
            segment += content[place:scan_end].rstrip(b"\xff")
            place = scan_end
        yield marker, segment, data
    raise ImageTooLargeError(
        f"The JPEG image has more than {_MAX_SEGMENTS:,} segments. Please save it anew and send that."
    )


@dataclass
class _Headers:
    """The application segments that are used. Of each kind, the first valid one counts."""

    jfif: bytes = b""
    adobe: bytes = b""
    exif: Exif | None = None
    _icc_chunks: dict[int, bytes] = field(default_factory=dict)
    _icc_count: int = 0

    def add(self, marker: int, data: bytes) -> None:
        if marker == _APP0 and not self.jfif and data.startswith(_JFIF_HEADER) and len(data) >= _JFIF_BYTES:
            # The last two bytes are the size of an embedded thumbnail, which is left out.
            self.jfif = _segment(marker, data[: _JFIF_BYTES - 2] + b"\0\0")
        elif marker == _APP14 and not self.adobe and data.startswith(_ADOBE_HEADER) and len(data) >= _ADOBE_BYTES:
            self.adobe = _segment(marker, data[:_ADOBE_BYTES])
        elif marker == _APP1 and self.exif is None and data.startswith(_EXIF_HEADER):
            self.exif = exif.read(data[_TIFF_START:])
        elif marker == _APP2 and data.startswith(_ICC_HEADER) and len(data) > len(_ICC_HEADER) + 2:
            number, count = data[len(_ICC_HEADER) : len(_ICC_HEADER) + 2]
            self._icc_count = self._icc_count or count
            self._icc_chunks.setdefault(number, data[len(_ICC_HEADER) + 2 :])

    def icc_profile(self) -> bytes | None:
        """Return the profile, or None if a chunk is missing (ICC.1:2022, B.4)."""
        chunks = [self._icc_chunks.get(number, b"") for number in range(1, self._icc_count + 1)]
        return b"".join(chunks) if chunks and all(chunks) else None


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

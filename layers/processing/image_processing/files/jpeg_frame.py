"""The frame and the scans of a JPEG (ITU-T T.81, B.2).

They tell whether the image can be decoded, what decoding costs, and whether the file is complete.
"""

import struct
from dataclasses import dataclass, field
from enum import Enum, auto

from image_pipeline.errors import ImageTooLargeError, UndecodableImageError, UnsupportedImageError

# The markers of frames: SOF0 to SOF15 without DHT, JPG and DAC, which lie between them; DHP of hierarchical JPEG; and
# SOF55 of JPEG-LS.
MARKERS = {*range(0xC0, 0xD0), 0xDE, 0xF7} - {0xC4, 0xC8, 0xCC}
_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _ARITHMETIC, _ARITHMETIC_PROGRESSIVE = 0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA
_DECODABLE = {_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _ARITHMETIC, _ARITHMETIC_PROGRESSIVE}
_OTHER_KINDS = {0xCB: "lossless JPEG with arithmetic coding", 0xF7: "JPEG-LS"}
_DECODABLE_COMPONENTS = {1, 3, 4}
_BITS_PER_SAMPLE = 8
_BLOCK_SIDE = 8
_COEFFICIENTS = 64
_COEFFICIENT_BYTES = 2
# An ordinary file has about ten scans.
_MAX_SCANS = 500
# The decoder takes up to 40 ns per block and scan. An ordinary file with 50 megapixels has 5 to 11 million visits.
_MAX_BLOCK_VISITS = 20_000_000
# Enough for 50 megapixels in three components of full size.
_MAX_BUFFERED_BYTES = 310_000_000


class Check(Enum):
    """How to find out whether pixels are missing at the end of a file. The decoder does it."""

    NONE = auto()
    """No check is needed: the structure shows that the file is complete."""
    LAST_PIXEL = auto()
    """Look at the last pixel. It is gray if pixels are missing."""
    COARSE = auto()
    """Decode the file a second time, at any scale."""
    FINE = auto()
    """Decode the file a second time, at full size."""


@dataclass(frozen=True)
class Frame:
    """The content of an SOF segment. `blocks` has the number of 8 x 8 blocks of each component, by component id."""

    marker: int
    width: int
    height: int
    blocks: dict[int, int]

    @property
    def is_progressive(self) -> bool:
        return self.marker in {_PROGRESSIVE, _ARITHMETIC_PROGRESSIVE}

    @property
    def is_lossless(self) -> bool:
        return self.marker == _LOSSLESS

    @property
    def is_huffman_dct(self) -> bool:
        return self.marker in {_BASELINE, _EXTENDED, _PROGRESSIVE}


def read(marker: int, data: bytes) -> Frame:
    """Read an SOF segment. Raises UndecodableImageError, and UnsupportedImageError with the name of the kind."""
    try:
        bits, height, width, number = struct.unpack_from(">BHHB", data)
        components = list(struct.iter_unpack("3B", data[6:]))
    except struct.error:
        raise UndecodableImageError from None
    if marker not in _DECODABLE:
        raise UnsupportedImageError.of_kind(_OTHER_KINDS.get(marker, "hierarchical JPEG"))
    if bits != _BITS_PER_SAMPLE:
        lossless = "lossless " if marker == _LOSSLESS else ""
        raise UnsupportedImageError.of_kind(f"{lossless}JPEG with {bits} bits per sample")
    if number not in _DECODABLE_COMPONENTS:
        raise UnsupportedImageError.of_kind(f"JPEG with {number} colour components")
    if height == 0:
        raise UnsupportedImageError.of_kind("JPEG that gives its height after its pixels")
    samplings = {component: (sampling >> 4, sampling & 15) for component, sampling, _ in components}
    if width == 0 or len(samplings) != number or not all(across and down for across, down in samplings.values()):
        raise UndecodableImageError
    max_across = max(across for across, _ in samplings.values())
    max_down = max(down for _, down in samplings.values())
    blocks = {
        component: -(-width * across // (max_across * _BLOCK_SIDE)) * -(-height * down // (max_down * _BLOCK_SIDE))
        for component, (across, down) in samplings.items()
    }
    return Frame(marker, width, height, blocks)


@dataclass
class Scans:
    """The scans of a frame, added one after the other: what they contain and what they cost."""

    frame: Frame
    _number: int = 0
    _block_visits: int = 0
    _last_is_coarse: bool = False
    # The components that have a first scan, and the coefficients that are complete to the last bit.
    _begun: set[int] = field(default_factory=set)
    _exact: set[tuple[int, int]] = field(default_factory=set)

    def add(self, header: bytes) -> None:
        """Add the scan with this SOS segment. Raises UndecodableImageError, and ImageTooLargeError for many scans."""
        if not header or len(header) != 2 * header[0] + 4:
            raise UndecodableImageError
        components = set(header[1:-3:2])
        first, last, bits = header[-3:]
        if not components or not components <= set(self.frame.blocks):
            raise UndecodableImageError
        self._number += 1
        self._block_visits += sum(self.frame.blocks[component] for component in components)
        if self._number > _MAX_SCANS or self._block_visits > _MAX_BLOCK_VISITS:
            raise ImageTooLargeError(
                "The JPEG image has too many scans for its size. Please save it as a baseline JPEG and send it again."
            )
        # The high half of `bits` is the number of low bits that earlier scans left out. The low half is the number of
        # bits that this scan leaves out.
        self._last_is_coarse = first == 0 and bits >> 4 == 0
        if first == 0 or not self.frame.is_progressive:
            self._begun |= components
        if bits & 15 == 0:
            frequencies = range(first, min(last, _COEFFICIENTS - 1) + 1)
            self._exact.update((component, frequency) for component in components for frequency in frequencies)

    @property
    def are_all_there(self) -> bool:
        """True if the scans so far contain the whole image, according to their headers."""
        return self._begun == set(self.frame.blocks) and not self.frame.is_progressive

    @property
    def buffered_bytes(self) -> int:
        """The memory that the decoder needs to keep coefficients between scans. Raises ImageTooLargeError."""
        if self._number == 1 and not self.frame.is_progressive:
            return 0
        needed = sum(self.frame.blocks.values()) * _COEFFICIENTS * _COEFFICIENT_BYTES
        if needed > _MAX_BUFFERED_BYTES:
            raise ImageTooLargeError(
                "A progressive JPEG of this size needs too much memory. Please save it as a baseline JPEG."
            )
        return needed

    def check(self, *, is_ended: bool) -> Check:
        """Return how to find missing pixels. `is_ended` tells whether the file has an end marker.

        Raises UndecodableImageError if the headers already show that pixels are missing.
        """
        if self._begun != set(self.frame.blocks):
            raise UndecodableImageError
        if not self.frame.is_huffman_dct:
            # No later check can tell, because missing pixels may have any colour.
            if not is_ended:
                raise UndecodableImageError
            return Check.NONE
        if not self.frame.is_progressive:
            return Check.LAST_PIXEL if self._number == 1 else Check.COARSE
        if not is_ended:
            if (
                len(self._exact) < len(self.frame.blocks) * _COEFFICIENTS
                or 2 * self.buffered_bytes > _MAX_BUFFERED_BYTES
            ):
                raise UndecodableImageError
            return Check.FINE
        # A scan that follows a coarse scan shows that the coarse scan was complete.
        return Check.LAST_PIXEL if self._last_is_coarse else Check.NONE

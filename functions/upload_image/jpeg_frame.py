"""The frame of a JPEG and its scans (ITU-T T.81, B.2): whether they can be decoded, their cost, their completeness."""

import struct
from dataclasses import dataclass, field
from enum import Enum, auto

from image_pipeline.errors import ImageTooLargeError, UndecodableImageError, UnsupportedImageError

# DHT, JPG and DAC have numbers among those of the frames; DHP announces a hierarchy of frames, the last is JPEG-LS's.
MARKERS = {*range(0xC0, 0xD0), 0xDE, 0xF7} - {0xC4, 0xC8, 0xCC}
_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _ARITHMETIC, _ARITHMETIC_PROGRESSIVE = 0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA
_DECODABLE = {_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _ARITHMETIC, _ARITHMETIC_PROGRESSIVE}
_OTHER_KINDS = {0xCB: "lossless JPEG with arithmetic coding", 0xF7: "JPEG-LS"}
_DECODABLE_COMPONENTS = {1, 3, 4}
_BITS_PER_SAMPLE = 8
_BLOCK_SIDE = 8
_COEFFICIENTS = 64
_COEFFICIENT_BYTES = 2
# An ordinary file has about ten.
_MOST_SCANS = 500
# Each scan takes the decoder up to 40 ns per block. An ordinary file of 50 megapixels takes 5 to 11 million visits.
_MOST_BLOCK_VISITS = 20_000_000
# 50 megapixels in three components of full size.
_MOST_BUFFERED_BYTES = 310_000_000


class Check(Enum):
    """How to find out whether pixels are missing at the end of a file."""

    NONE = auto()
    """Its structure shows that it is complete."""
    LAST_PIXEL = auto()
    """If some are missing, the last one is gray."""
    COARSE = auto()
    """Decode it once more, at any scale."""
    FINE = auto()
    """Decode it once more, at full size."""


@dataclass(frozen=True)
class Frame:
    """An SOF segment: the kind of JPEG, its size in pixels, and how many 8 x 8 blocks each component has, by its id."""

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
    """Read an SOF segment. Raises UndecodableImageError, and UnsupportedImageError with the kind's name."""
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
    most_across = max(across for across, _ in samplings.values())
    most_down = max(down for _, down in samplings.values())
    blocks = {
        component: -(-width * across // (most_across * _BLOCK_SIDE)) * -(-height * down // (most_down * _BLOCK_SIDE))
        for component, (across, down) in samplings.items()
    }
    return Frame(marker, width, height, blocks)


@dataclass
class Scans:
    """The scans of a frame, as they come: what they bring and what they cost."""

    frame: Frame
    _number: int = 0
    _block_visits: int = 0
    _last_is_coarse: bool = False
    # The components that were begun, and the coefficients that were sent to their last bit.
    _begun: set[int] = field(default_factory=set)
    _exact: set[tuple[int, int]] = field(default_factory=set)

    def add(self, header: bytes) -> None:
        """Add a scan by its SOS segment. Raises UndecodableImageError, and ImageTooLargeError for too many scans."""
        if not header or len(header) != 2 * header[0] + 4:
            raise UndecodableImageError
        components = set(header[1:-3:2])
        first, last, bits = header[-3:]
        if not components or not components <= set(self.frame.blocks):
            raise UndecodableImageError
        self._number += 1
        self._block_visits += sum(self.frame.blocks[component] for component in components)
        if self._number > _MOST_SCANS or self._block_visits > _MOST_BLOCK_VISITS:
            raise ImageTooLargeError(
                "The JPEG image has too many scans for its size. Please save it as a baseline JPEG and send it again."
            )
        # The high half tells how many bits earlier scans have left, the low half how many are left for later ones.
        self._last_is_coarse = first == 0 and bits >> 4 == 0
        if first == 0 or not self.frame.is_progressive:
            self._begun |= components
        if bits & 15 == 0:
            frequencies = range(first, min(last, _COEFFICIENTS - 1) + 1)
            self._exact.update((component, frequency) for component in components for frequency in frequencies)

    @property
    def are_all_there(self) -> bool:
        """Whether nothing needs to follow, as far as headers tell."""
        return self._begun == set(self.frame.blocks) and not self.frame.is_progressive

    @property
    def buffered_bytes(self) -> int:
        """Memory that the decoder needs for the coefficients of all scans. Raises ImageTooLargeError."""
        if self._number == 1 and not self.frame.is_progressive:
            return 0
        needed = sum(self.frame.blocks.values()) * _COEFFICIENTS * _COEFFICIENT_BYTES
        if needed > _MOST_BUFFERED_BYTES:
            raise ImageTooLargeError(
                "A progressive JPEG of this size needs too much memory. Please save it as a baseline JPEG."
            )
        return needed

    def check(self, *, is_ended: bool) -> Check:
        """Return how to find missing pixels, in a file with an end marker or without. Raises UndecodableImageError."""
        if self._begun != set(self.frame.blocks):
            raise UndecodableImageError
        if not self.frame.is_huffman_dct:
            # No later look tells: what is missing is decoded to pixels of any colour.
            if not is_ended:
                raise UndecodableImageError
            return Check.NONE
        if not self.frame.is_progressive:
            return Check.LAST_PIXEL if self._number == 1 else Check.COARSE
        if not is_ended:
            if (
                len(self._exact) < len(self.frame.blocks) * _COEFFICIENTS
                or 2 * self.buffered_bytes > _MOST_BUFFERED_BYTES
            ):
                raise UndecodableImageError
            return Check.FINE
        # What follows the first, coarse scan shows that it was complete.
        return Check.LAST_PIXEL if self._last_is_coarse else Check.NONE

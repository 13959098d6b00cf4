import struct

import pytest

from image_processing.files import exif
from tests.jpeg_bytes import exif as tiff

ORIENTATION, DATE_TIME, DETAILS = 0x0112, 0x0132, 0x8769
DATE = b"2021:05:06 07:08:09\0"


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(order: str) -> None:
    block = tiff((ORIENTATION, 3, struct.pack(f"{order}H", 6)), (DATE_TIME, 2, DATE), order=order)
    assert exif.read(block) == exif.Exif(6, "2021:05:06 07:08:09", None, None)


def test_the_details_are_read_from_their_own_directory() -> None:
    first = tiff((DETAILS, 4, struct.pack("<L", 26)))
    entries = struct.pack("<HHLL", 0x9003, 2, 20, 56) + struct.pack("<HHLL", 0x9004, 2, 20, 76)
    block = first + struct.pack("<H", 2) + entries + bytes(4) + DATE + DATE.replace(b"2021", b"2020")
    assert exif.read(block) == exif.Exif(None, None, "2021:05:06 07:08:09", "2020:05:06 07:08:09")


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II*\0",
        b"II*\0\x08\0\0\0",
        b"II*\0\x08\0\0\0\0\0",
        b"II*\0\xff\xff\xff\xff",
        b"XX*\0\x08\0\0\0\1\0" + bytes(20),
        b"not a header" * 4,
        b"II*\0\x08\0\0\0\1\0" + bytes(11),
    ],
)
def test_a_block_without_header_or_entries_is_none(block: bytes) -> None:
    assert exif.read(block) is None


@pytest.mark.parametrize(
    "entry",
    [
        struct.pack("<HHL4s", ORIENTATION, 2, 4, b"abc\0"),
        struct.pack("<HHLL", ORIENTATION, 3, 2, 6),
        struct.pack("<HHLL", ORIENTATION, 12, 1, 6),
    ],
)
def test_an_orientation_of_another_type_is_none(entry: bytes) -> None:
    found = exif.read(b"II*\0\x08\0\0\0\1\0" + entry + bytes(4))
    assert found is not None
    assert found.orientation is None


@pytest.mark.parametrize("kind", [1, 3, 4])
def test_an_orientation_may_have_any_type_of_whole_number(kind: int) -> None:
    found = exif.read(b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHLL", ORIENTATION, kind, 1, 8) + bytes(4))
    assert found is not None
    assert found.orientation == 8


def test_a_text_that_reaches_outside_the_block_is_cut() -> None:
    outside = exif.read(b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHLL", DATE_TIME, 2, 20, 2**32 - 1) + bytes(4))
    endless = exif.read(b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHLL", DATE_TIME, 2, 2**32 - 1, 26) + bytes(4) + DATE)
    assert outside is not None
    assert endless is not None
    assert (outside.date_time, endless.date_time) == ("", "2021:05:06 07:08:09")


def test_details_with_an_invalid_offset_are_empty() -> None:
    for offset in (8, 2**32 - 1, 0):
        found = exif.read(b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHLL", DETAILS, 4, 1, offset) + bytes(4))
        assert found == exif.Exif(None, None, None, None)

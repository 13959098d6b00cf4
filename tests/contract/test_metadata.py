"""The metadata of an image: size, format, dates and orientation."""

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from tests.contract.client import Client, fetch
from tests.contract.exif import exif
from tests.pictures import encode, opened, scene_png
from tests.png_bytes import chunk

Turn = Image.Transpose


def dated(data: dict[str, Any], name: str) -> datetime:
    return datetime.strptime(data["metadata"][name], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def is_of_the_upload(data: dict[str, Any], name: str) -> bool:
    """Return whether a date is the time of the upload, by the clock of the API."""
    before_the_end = datetime.fromisoformat(data["processed_at"]) - dated(data, name)
    return timedelta(0) <= before_the_end <= timedelta(seconds=data["time_taken"] + 2)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_dates_are_those_of_the_photograph(api: Client, image_format: str) -> None:
    tags = exif("2020:01:02 03:04:05", "2021:06:07 08:09:10")
    metadata = api.uploaded(encode(Image.new("RGB", (8, 8)), image_format, exif=tags), "dated")["metadata"]
    assert metadata["created_at"] == "2020-01-02 03:04:05"
    assert metadata["modified_at"] == "2021-06-07 08:09:10"


def test_the_dates_of_a_png_come_from_its_time_chunk(api: Client) -> None:
    plain, time = scene_png(), chunk(b"tIME", struct.pack(">H5B", 2021, 2, 3, 4, 5, 6))
    data = api.uploaded(plain[:-12] + time + plain[-12:], "changed.png")
    assert data["metadata"]["modified_at"] == data["metadata"]["created_at"] == "2021-02-03 04:05:06"


@pytest.mark.parametrize(
    "date", [None, "", "    :  :     :  :  ", "0000:00:00 00:00:00", "2021:02:30 01:02:03", "2999:01:01 00:00:00"]
)
def test_without_a_valid_date_both_dates_are_the_time_of_the_upload(api: Client, date: str | None) -> None:
    data = api.uploaded(encode(Image.new("RGB", (8, 8)), "JPEG", exif=exif(date, date)), "undated.jpg")
    assert is_of_the_upload(data, "created_at")
    assert is_of_the_upload(data, "modified_at")


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, None),
        (2, Turn.FLIP_LEFT_RIGHT),
        (3, Turn.ROTATE_180),
        (4, Turn.FLIP_TOP_BOTTOM),
        (5, Turn.TRANSPOSE),
        (6, Turn.ROTATE_90),
        (7, Turn.TRANSVERSE),
        (8, Turn.ROTATE_270),
    ],
)
def test_a_photograph_is_shown_upright(api: Client, orientation: int, turn: Image.Transpose | None) -> None:
    upright = Image.new("RGB", (240, 200), "white")
    upright.paste("red", (0, 0, 120, 100))
    upright.paste("blue", (120, 0, 240, 100))
    stored = upright if turn is None else upright.transpose(turn)
    data = api.uploaded(encode(stored, "JPEG", quality=95, exif=exif(orientation=orientation)), "turned.jpg")
    assert (data["metadata"]["width"], data["metadata"]["height"]) == (240, 200)
    thumbnail = opened(fetch(data["thumbnails"]["medium"]).content)
    assert thumbnail.size == (240, 200)
    for place in ((60, 50), (180, 50), (60, 150), (180, 150)):
        for ours, original in zip(channels(thumbnail, place), channels(upright, place), strict=True):
            assert abs(ours - original) < 12


def channels(image: Image.Image, place: tuple[int, int]) -> tuple[int, ...]:
    values = image.getpixel(place)
    assert isinstance(values, tuple)
    return values

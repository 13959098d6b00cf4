import string
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from image_pipeline.errors import InvalidRequestError
from image_pipeline.http import cursors
from image_pipeline.storage import keys
from tools.local.sample_images import sample_image

POSITION = "2025-03-16T12:00:00.826114+00:00#b480bcff-7fff-45b2-93cf-7a534fe39821"


def test_a_cursor_leads_back_to_its_position() -> None:
    assert cursors.decode(cursors.encode(POSITION)) == POSITION


def test_the_position_of_every_record_has_a_cursor() -> None:
    on_the_second = replace(sample_image(), processed_at=datetime(2025, 3, 16, 12, 0, 0, 0, UTC))
    for record in (sample_image(), on_the_second):
        position = keys.listing_position(record)
        assert cursors.decode(cursors.encode(position)) == position


def test_a_cursor_needs_no_escaping_in_a_url() -> None:
    assert set(cursors.encode(POSITION)) <= set(string.ascii_letters + string.digits + "-_")


def test_a_changed_cursor_is_refused_or_is_another_position() -> None:
    cursor = cursors.encode(POSITION)
    for place, character in enumerate(cursor):
        for other in ("A" if character != "A" else "B", "=", " ", "\n", "é"):
            changed = cursor[:place] + other + cursor[place + 1 :]
            try:
                position = cursors.decode(changed)
            except InvalidRequestError:
                continue
            assert cursors.encode(position) == changed
            assert len(position) == len(POSITION)


def test_the_encoding_of_cursors_stays_the_same() -> None:
    assert cursors.encode(POSITION) == (
        "MjAyNS0wMy0xNlQxMjowMDowMC44MjYxMTQrMDA6MDAjYjQ4MGJjZmYtN2ZmZi00NWIyLTkzY2YtN2E1MzRmZTM5ODIx"
    )


def test_a_cursor_has_one_spelling() -> None:
    cursor = cursors.encode(POSITION)
    for other in (cursor + "=", cursor + "==", cursor + "\n", "." + cursor, cursor + "A"):
        with pytest.raises(InvalidRequestError):
            cursors.decode(other)


@pytest.mark.parametrize(
    "position",
    [
        POSITION[:-1],
        POSITION + "0",
        POSITION + "\n",
        POSITION.upper(),
        POSITION.replace("+00:00", "Z"),
        POSITION.replace("#", "/"),
        POSITION.replace("1", "\N{ARABIC-INDIC DIGIT ONE}"),
    ],
)
def test_a_cursor_without_a_listing_position_is_refused(position: str) -> None:
    with pytest.raises(InvalidRequestError):
        cursors.decode(cursors.encode(position))


@pytest.mark.parametrize("cursor", ["", "A", "AAAA", "=", "A" * 10_000, "_" * 40])
def test_an_invented_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequestError):
        cursors.decode(cursor)

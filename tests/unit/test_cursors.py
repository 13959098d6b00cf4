import string

import pytest

from image_pipeline import cursors
from image_pipeline.errors import InvalidRequestError

pytestmark = pytest.mark.usefixtures("aws")

POSITION = "2025-03-16T12:00:00.826114+00:00#b480bcff-7fff-45b2-93cf-7a534fe39821"


@pytest.mark.parametrize("position", [POSITION, POSITION[:-1], POSITION[:-2]])
def test_a_cursor_leads_back_to_its_position(position: str) -> None:
    assert cursors.decode(cursors.encode(position)) == position


def test_a_cursor_needs_no_escaping_in_a_url() -> None:
    assert set(cursors.encode(POSITION)) <= set(string.ascii_letters + string.digits + "-_")


def test_any_changed_character_is_refused() -> None:
    cursor = cursors.encode(POSITION)
    for place, character in enumerate(cursor):
        for other in ("A" if character != "A" else "B", "=", " ", "\n", "é"):
            with pytest.raises(InvalidRequestError):
                cursors.decode(cursor[:place] + other + cursor[place + 1 :])


def test_a_cursor_that_a_client_holds_stays_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURSOR_KEY", "key")
    assert cursors.encode(POSITION) == (
        "X0dACQLfL6NZzDAOzXduNTIwMjUtMDMtMTZUMTI6MDA6MDAuODI2MTE0KzAwOjAwI2I0ODBiY2ZmLTdmZmYtNDViMi05M2NmLTdhNTM0ZmUzOTgyMQ"
    )


def test_a_cursor_has_one_spelling() -> None:
    cursor = cursors.encode(POSITION)
    assert cursor.endswith("Q")  # of its six bits, four are spare
    for other in (cursor + "=", cursor + "==", cursor + "\n", "." + cursor, cursor[:-1] + "R"):
        with pytest.raises(InvalidRequestError):
            cursors.decode(other)


@pytest.mark.parametrize("cursor", ["", "A", "AAAA", "=", "A" * 10_000, "_" * 40])
def test_what_was_never_a_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequestError):
        cursors.decode(cursor)


def test_another_key_signs_another_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = cursors.encode(POSITION)
    monkeypatch.setenv("CURSOR_KEY", "another stack")
    with pytest.raises(InvalidRequestError):
        cursors.decode(cursor)

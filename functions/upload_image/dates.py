"""Dates as cameras and programs write them into images."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate

# EXIF writes `YYYY:MM:DD HH:MM:SS`. Others write dashes, slashes, dots or spaces for colons, a T or a colon between
# date and time, one digit for two, spaces for zeros, or leave out the seconds or the time.
_NUMBERS = re.compile(
    r"\s*(\d{4})[-:/.\s]\s*(\d{1,2})[-:/.\s]\s*(\d{1,2})(?!\d)"
    r"(?:[T:\s]\s*(\d{1,2})[-:.]\s*(\d{1,2})(?:[-:.]\s*(\d{1,2}))?)?",
    re.ASCII,
)
# The year of the first photograph.
_EARLIEST_YEAR = 1826


def parse(text: str | None, received_at: datetime) -> datetime | None:
    """Return the date and time that `text` begins with, as its clock showed it; None if it has none that is sane.

    The spellings are EXIF's and those close to it, and that of e-mail (RFC 5322), which the PNG specification suggests.
    """
    if text is None:
        return None
    if match := _NUMBERS.match(text):
        return sane([int(part or 0) for part in match.groups()], received_at)
    parts = parsedate(text)
    return sane(parts[:6], received_at) if parts else None


def sane(parts: Sequence[int], received_at: datetime) -> datetime | None:
    """Return the date of year, month, day, hour, minute and second, in the time zone of `received_at`.

    None if it is impossible, before photography, or in the future, as the date of a reset clock is.
    """
    try:
        date = datetime(*parts, tzinfo=received_at.tzinfo)  # type: ignore[arg-type, misc]  # six numbers
    except (ValueError, OverflowError):
        return None
    # A camera's clock shows local time, up to 14 hours ahead of UTC.
    return date if date.year >= _EARLIEST_YEAR and date <= received_at + timedelta(hours=14) else None

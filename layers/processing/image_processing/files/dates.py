"""Dates that cameras and programs write into images."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate

# EXIF writes `YYYY:MM:DD HH:MM:SS`. Some programs write dashes, slashes, dots or spaces instead of colons, a T or a
# colon between date and time, one digit instead of two, or spaces instead of zeros. Some omit the seconds or the time.
_NUMBERS = re.compile(
    r"\s*(\d{4})[-:/.\s]\s*(\d{1,2})[-:/.\s]\s*(\d{1,2})(?!\d)"
    r"(?:[T:\s]\s*(\d{1,2})[-:.]\s*(\d{1,2})(?:[-:.]\s*(\d{1,2}))?)?",
    re.ASCII,
)
# The first photograph was taken in this year.
_EARLIEST_YEAR = 1826


def parse(text: str | None, received_at: datetime) -> datetime | None:
    """Return the date and time at the beginning of `text`, or None if there is no possible one.

    Reads the format of EXIF and similar formats, and the format of e-mail (RFC 5322), which PNG suggests.
    Ignores time zones: the result shows what the clock of the camera showed.
    """
    if text is None:
        return None
    if match := _NUMBERS.match(text):
        return plausible([int(part or 0) for part in match.groups()], received_at)
    parts = parsedate(text)
    return plausible(parts[:6], received_at) if parts else None


def plausible(parts: Sequence[int], received_at: datetime) -> datetime | None:
    """Return the date with this year, month, day, hour, minute and second, in the time zone of `received_at`.

    Returns None if the date does not exist, is older than photography, or is in the future.
    """
    try:
        date = datetime(*parts, tzinfo=received_at.tzinfo)  # type: ignore[arg-type, misc]  # six numbers
    except (ValueError, OverflowError):
        return None
    # A camera shows local time, which is up to 14 hours ahead of UTC.
    return date if date.year >= _EARLIEST_YEAR and date <= received_at + timedelta(hours=14) else None

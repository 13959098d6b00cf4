from datetime import UTC, datetime

import pytest

from image_processing.files import dates

NOW = datetime(2025, 3, 16, 7, 9, 26, 500_000, UTC)
RIGHT = datetime(2021, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2021:05:06 07:08:09",
        "2021-05-06 07:08:09",
        "2021/05/06 07:08:09",
        "2021.05.06 07:08:09",
        "2021 05 06 07:08:09",
        "2021-05-06T07:08:09",
        "2021-05-06T07:08:09.123+02:00",
        "2021:05:06:07:08:09",
        "2021:05:06 07-08-09",
        "2021:5:6 7:8:9",
        "2021: 5: 6  7: 8: 9",
        "  2021:05:06 07:08:09  ",
        "Thu, 06 May 2021 07:08:09 +0200",
        "6 May 2021 07:08:09",
        "Thu May  6 07:08:09 2021",
    ],
)
def test_common_spellings_are_read(text: str) -> None:
    assert dates.parse(text, NOW) == RIGHT


@pytest.mark.parametrize(
    ("text", "second"), [("2021:05:06 07:08", (7, 8)), ("2021:05:06", (0, 0)), ("2021-05-06", (0, 0))]
)
def test_seconds_or_the_time_may_be_left_out(text: str, second: tuple[int, int]) -> None:
    assert dates.parse(text, NOW) == datetime(2021, 5, 6, *second, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "    :  :     :  :  ",
        "0000:00:00 00:00:00",
        "2021:02:30 07:08:09",
        "2021:05:06 24:00:00",
        "1825:12:31 23:59:59",
        "2999:01:01 00:00:00",
        "yesterday",
        "\uff12\uff10\uff12\uff11:05:06 07:08:09",
        "<b>2021:05:06</b>",
    ],
)
def test_an_invalid_date_is_none(text: str | None) -> None:
    assert dates.parse(text, NOW) is None

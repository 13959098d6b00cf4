import pytest

from image_pipeline.http import forms
from tests.events import file_part, form_event, upload_event

pytestmark = pytest.mark.usefixtures("upload_limit")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\\\Users\\\\me\\\\photo.jpg", "photo.jpg"),
        ("photos\\\\photo.jpg", "photo.jpg"),
        ("Ferien am Meer ☀.jpg", "Ferien am Meer ☀.jpg"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\x07b.png", "ab.png"),
        ("x" * 300, "x" * 255),
        ("folder/", "unnamed"),
        ("<b>.png", "<b>.png"),
        ("", "unnamed"),
        ("\u200e\u200f\u061c", "unnamed"),
    ],
)
def test_the_name_is_shown_without_path_and_control_characters(sent: str, shown: str) -> None:
    assert forms.upload(upload_event(b"image", sent)).original_name == shown


@pytest.mark.parametrize("removed", "\0\t\x1b\x7f\x80\x9f\u061c\u200e\u200f\u202a\u202e\u2028\u2029\u2066\u2069\ufeff")
def test_characters_that_control_terminals_or_text_direction_are_removed(removed: str) -> None:
    assert forms.upload(upload_event(b"image", f"a{removed}b.png")).original_name == "ab.png"


@pytest.mark.parametrize(
    "kept",
    [
        "\u0646\u0645\u06cc\u200c\u062f\u0627\u0646\u0645",  # Persian, with a non-joiner
        "\u0d28\u0d4d\u200d",  # Malayalam, with a joiner
        "\U0001f469\u200d\U0001f680",  # a woman astronaut: woman, joiner, rocket
        "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",  # the flag of Wales, with tags
        "\U0001fade",  # a splatter, from Unicode 16
        "\u0378\ufdd0\U0010fffd",  # unassigned, noncharacter, private use
        "\uf8ff",  # private use
        "a\u00adb\u200bc\u2060d",  # soft hyphen, zero-width space, word joiner
    ],
    ids=ascii,
)
def test_a_name_keeps_every_other_character(kept: str) -> None:
    assert forms.upload(upload_event(b"image", f"{kept}.png")).original_name == f"{kept}.png"


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        ("ab", "a"),
        ("e\u0301", ""),
        ("\U0001f469\u200d\U0001f680", ""),
        ("\U0001f3f4\U000e0067\U000e007f", ""),
        ("\U0001f44d\U0001f3fd", ""),
        ("\u2764\ufe0f", ""),
        ("a\U0001f469\u200d\U0001f680", "a"),
    ],
    ids=ascii,
)
def test_a_long_name_is_not_cut_inside_a_character_of_several_code_points(end: str, shown: str) -> None:
    assert forms.upload(upload_event(b"image", "n" * 254 + end)).original_name == "n" * 254 + shown


def test_a_long_name_is_cut_anywhere_if_it_is_one_character() -> None:
    name = "e" + "\u0301" * 300
    assert forms.upload(upload_event(b"image", name)).original_name == name[:255]


def named(parameters: str | bytes) -> str:
    """Return the name of a file whose Content-Disposition ends with these parameters."""
    sent = parameters if isinstance(parameters, bytes) else parameters.encode()
    return forms.upload(form_event(file_part(b"image", "a.png").replace(b'; filename="a.png"', sent))).original_name


@pytest.mark.parametrize(
    "parameter",
    [
        "filename*=UTF-8''na%C3%AFve%20caf%C3%A9.png",
        "filename*=utf-8'fr'na%c3%afve%20caf%c3%a9.png",
        "filename*=utf8''na%C3%AFve%20caf%C3%A9.png",
        "filename*=ISO-8859-1''na%EFve%20caf%E9.png",
        "filename*=iso-8859-1'en-GB'na%EFve%20caf%e9.png",
        "FileName* = UTF-8''na%C3%AFve%20caf%C3%A9%2Epng",
        "filename*=UTF-8''photos%2Fna%C3%AFve%20caf%C3%A9%00.png",
        "filename*=UTF-8''photos%5Cna%C3%AFve%20caf%C3%A9.png",
    ],
)
@pytest.mark.parametrize("order", ["; {0}", '; filename="other.png"; {0}', "; {0}; filename=other.png", ";{0} ;x=y"])
def test_an_extended_name_is_preferred_to_a_plain_one(parameter: str, order: str) -> None:
    assert named(order.format(parameter)) == "na\u00efve caf\u00e9.png"


@pytest.mark.parametrize(
    "parameter",
    [
        "filename*=",
        "filename*=UTF-8''",
        "filename*=b.png",
        "filename*=UTF-8'b.png",
        "filename*=UTF-8''%FF%FE.png",
        "filename*=UTF-8''b%2.png",
        "filename*=UTF-8''b%zz.png",
        "filename*=UTF-8''b\u00e9.png",
        "filename*=UTF-8''b c.png",
        "filename*=unicode_escape''b.png",
        "filename*=rot13''b.png",
        "filename*=\"UTF-8''b.png\"",
        "filename*0*=UTF-8''b.png",
        "xfilename*=UTF-8''b.png",
    ],
)
def test_without_a_valid_extended_name_the_plain_one_is_shown(parameter: str) -> None:
    assert named(f'; filename="a.png"; {parameter}') == "a.png"
    assert named(f"; {parameter}") == "unnamed"


def test_an_extended_name_inside_quotes_is_part_of_the_plain_one() -> None:
    assert named("; filename=\"a; filename*=UTF-8''b.png\"") == "a; filename*=UTF-8''b.png"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"caf\xe9.png", "caf\ufffd.png"),
        (b"\x83\x8b\x95\\.png", ".png"),  # Shift JIS, whose second bytes may be backslashes
        (b"\xed\xa0\x80.png", "\ufffd\ufffd\ufffd.png"),  # a surrogate
        ("\u6771\u4eac.png".encode(), "\u6771\u4eac.png"),
    ],
)
def test_a_name_that_is_not_utf_8_only_loses_characters(sent: bytes, shown: str) -> None:
    assert named(b'; filename="' + sent + b'"') == shown


@pytest.mark.parametrize("parameters", ["", '; filename=""', "; filename="])
def test_a_file_needs_no_name(parameters: str) -> None:
    assert named(parameters) == "unnamed"

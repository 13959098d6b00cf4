"""How a file is posted, and what a malformed request is told. Nothing of it is counted."""

from collections.abc import Iterator

import pytest
import requests

from tests.contract.client import Client
from tests.pictures import encode, scene_png
from tools.demo_scenes import Scene, draw

HINT = "Send multipart/form-data with one file in the field 'file', for example: curl -F file=@photo.jpg"
PART = b'--BOUNDARY\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
END = b"\r\n--BOUNDARY--\r\n"
LIMIT = 4_500_000


@pytest.fixture(autouse=True)
def nothing_is_counted(request: pytest.FixtureRequest, api: Client) -> Iterator[None]:
    before = api.statistics()
    yield
    if "accepted" not in request.node.name:
        assert api.statistics() == before


def refusal(response: requests.Response) -> tuple[int, str]:
    """Return status and message of an error, and check that it has the contract's shape and nothing else."""
    body = response.json()
    assert list(body) == ["current_status", "error"]
    assert body["current_status"] == "failure"
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, body["error"]


def test_the_field_must_be_there(api: Client) -> None:
    assert refusal(api.upload(scene_png(), "a.png", field="image")) == (400, f"The field 'file' is missing. {HINT}")


def test_the_field_must_come_once(api: Client) -> None:
    form = PART + scene_png() + b"\r\n" + PART + scene_png() + END
    assert refusal(api.post_form(form)) == (400, f"The field 'file' came 2 times. {HINT}")


def test_the_field_must_be_a_file(api: Client) -> None:
    form = b'--BOUNDARY\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext' + END
    assert refusal(api.post_form(form)) == (400, f"The field 'file' is not a file. {HINT}")


def test_the_file_must_not_be_empty(api: Client) -> None:
    assert refusal(api.upload(b"", "a.png")) == (400, "The uploaded file is empty.")


@pytest.mark.parametrize(
    "form",
    [PART + b"cut off", PART[:40], b"no boundary at all", b"--BOUNDARY\r\n\r\nno headers" + END],
    ids=["without an end", "inside the headers", "without a boundary", "without headers"],
)
def test_a_form_must_be_whole(api: Client, form: bytes) -> None:
    status, message = refusal(api.post_form(form))
    assert status == 400
    assert message.startswith("The form is malformed: ")
    assert message.endswith(HINT)


def test_an_empty_form_has_no_field(api: Client) -> None:
    status, message = refusal(api.post_form(b"--BOUNDARY--\r\n"))
    assert (status, message) == (400, f"The field 'file' is missing. {HINT}")


def test_the_boundary_must_be_named(api: Client) -> None:
    response = api.post(scene_png(), "multipart/form-data")
    assert refusal(response) == (400, f"The Content-Type header has no boundary. {HINT}")


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "application/x-www-form-urlencoded"])
def test_the_body_must_be_a_form(api: Client, media_type: str) -> None:
    assert refusal(api.post(b"{}", media_type)) == (400, f"The request is not multipart/form-data. {HINT}")


def test_a_body_must_be_there(api: Client) -> None:
    response = requests.post(f"{api.url}/api/images", timeout=60)
    assert refusal(response) == (400, f"The request is not multipart/form-data. {HINT}")


def test_a_file_over_the_limit_is_refused(api: Client) -> None:
    content = scene_png().ljust(LIMIT + 1, b"\0")
    message = "The file is larger than 4,500,000 bytes. Please send a smaller or more strongly compressed image."
    assert refusal(api.upload(content, "large.png")) == (413, message)


def test_a_file_at_the_limit_is_accepted(api: Client) -> None:
    # Bytes after the end of a PNG are no fault.
    assert api.uploaded(scene_png().ljust(LIMIT, b"\0"), "large.png")["metadata"]["size_bytes"] == LIMIT


def test_an_image_of_too_many_pixels_is_refused(api: Client) -> None:
    scene = draw(Scene(8000, 8000, "white", (), "")).convert("1")
    content = encode(scene)
    assert len(content) < LIMIT
    status, message = refusal(api.upload(content, "wide.png"))
    assert status == 413
    assert "50,000,000 pixels" in message


@pytest.mark.parametrize(
    "content",
    [b"GIF89a", b"RIFF0000WEBPVP8 ", b"BM", b"%PDF-1.7", b"<svg/>", b"<html></html>", b"text", b"\xff\xd8", b"\x89PNG"],
)
def test_what_is_no_jpeg_or_png_is_unsupported_whatever_its_name(api: Client, content: bytes) -> None:
    message = "Unsupported image file. Only accepts JPG or PNG files. Please try again."
    assert refusal(api.upload(content, "picture.jpg")) == (415, message)


def test_other_fields_beside_the_file_are_accepted(api: Client) -> None:
    more = b'--BOUNDARY\r\nContent-Disposition: form-data; name="title"\r\n\r\nA scene\r\n'
    assert api.post_form(more + PART + scene_png() + END).status_code == 200


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("photo.JPG", "photo.JPG"),
        ("no extension", "no extension"),
        ("Grüße aus 東京.png", "Grüße aus 東京.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.png", "photo.png"),
        ("n" * 300 + ".png", "n" * 255),
    ],
)
def test_any_name_is_accepted_and_only_its_last_part_shown(api: Client, sent: str, shown: str) -> None:
    part = PART.replace(b"a.png", sent.encode())
    response = api.post_form(part + scene_png() + END)
    assert response.status_code == 200
    assert response.json()["data"]["original_name"] == shown

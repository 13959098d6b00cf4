from base64 import b64decode

import pytest

from functions.upload_image.uploads import from_event
from image_pipeline.errors import ImageTooLargeError, InvalidRequestError
from tests.events import BOUNDARY, file_part, form_event, upload_event

pytestmark = pytest.mark.usefixtures("aws")


def test_the_content_is_taken_byte_for_byte() -> None:
    content = bytes(range(256)) * 3 + b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n"
    assert from_event(upload_event(content, "a.bin")).content == content


def test_a_file_may_have_as_many_bytes_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "5")
    assert from_event(upload_event(b"12345")).content == b"12345"
    with pytest.raises(ImageTooLargeError, match=r"^The file is larger than 5 bytes"):
        from_event(upload_event(b"123456"))


def test_the_form_around_a_file_may_have_64_kib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "5")
    file, note = file_part(b"12345", "image.png"), file_part(b"", "note.txt", field="note")
    rest = 64 * 1024 + 5 - len(b64decode(form_event(file, note)["body"]))
    assert from_event(form_event(file, file_part(bytes(rest), "note.txt", field="note"))).content == b"12345"
    with pytest.raises(ImageTooLargeError):
        from_event(form_event(file, file_part(bytes(rest + 1), "note.txt", field="note")))


def test_other_fields_are_ignored() -> None:
    event = form_event(file_part(b"note", "note.txt", field="note"), file_part(b"image", "image.png"))
    assert from_event(event).original_name == "image.png"


def test_header_names_have_no_case() -> None:
    event = upload_event(b"image")
    event["headers"] = {"content-type": event["headers"]["Content-Type"]}
    assert from_event(event).content == b"image"


def test_a_body_that_is_not_base64_is_taken_as_text() -> None:
    event = upload_event(b"image")
    event["body"] = (file_part(b"image", "image.png") + f"--{BOUNDARY}--\r\n".encode()).decode()
    event["isBase64Encoded"] = False
    assert from_event(event).content == b"image"


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
    ],
)
def test_the_name_is_shown_without_path_and_control_characters(sent: str, shown: str) -> None:
    assert from_event(upload_event(b"image", sent)).original_name == shown


def test_a_name_that_is_not_utf_8_is_refused_in_plain_words() -> None:
    event = form_event(file_part(b"image", "image.png").replace(b"image.png", b"caf\xe9.png"))
    with pytest.raises(InvalidRequestError) as refused:
        from_event(event)
    assert "UnicodeDecodeError" not in str(refused.value)
    assert "The form is malformed: Segment header failed to decode." in str(refused.value)


def test_a_client_is_told_how_to_send_a_file() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        from_event(form_event(file_part(b"image", "image.png", field="picture")))
    assert str(refused.value) == (
        "The field 'file' is missing. Send multipart/form-data with one file in the field 'file', "
        "for example: curl -F file=@photo.jpg"
    )


@pytest.mark.parametrize("body", [None, ""])
def test_no_body_is_a_malformed_form(body: str | None) -> None:
    event = upload_event(b"image")
    event["body"] = body
    with pytest.raises(InvalidRequestError, match="The form is malformed"):
        from_event(event)


@pytest.mark.parametrize("body", ["aW1hZ2U", "aW1h?Z2U=", "aW1hZ2Ué"])
def test_what_is_not_base64_is_refused(body: str) -> None:
    event = upload_event(b"image")
    event["body"] = body
    with pytest.raises(InvalidRequestError, match=r"^The request body is not valid base64\.$"):
        from_event(event)


@pytest.mark.parametrize("change", [(b"form-data; ", b"form-data;\r\n "), (b' name="file";', b"")])
def test_a_form_is_read_strictly(change: tuple[bytes, bytes]) -> None:
    with pytest.raises(InvalidRequestError, match="The form is malformed"):
        from_event(form_event(file_part(b"image", "image.png").replace(*change)))


@pytest.mark.parametrize("headers", [None, {}, {"Content-Type": None}, {"Content-Type": "text/plain"}])
def test_no_form_is_refused(headers: dict[str, str] | None) -> None:
    event = upload_event(b"image")
    event["headers"] = headers
    with pytest.raises(InvalidRequestError, match="not multipart/form-data"):
        from_event(event)


@pytest.mark.parametrize("boundary", ["", '""', "\u00e9", "other"])
def test_a_useless_boundary_is_refused(boundary: str) -> None:
    event = upload_event(b"image")
    event["headers"]["Content-Type"] = f"multipart/form-data; boundary={boundary}"
    with pytest.raises(InvalidRequestError):
        from_event(event)

from base64 import b64decode, b64encode, encodebytes
from binascii import b2a_qp
from typing import Any

import pytest

from image_pipeline.errors import ImageTooLargeError, InvalidRequestError
from image_pipeline.http import forms
from tests.events import BOUNDARY, file_part, form_event, text_part, upload_event

pytestmark = pytest.mark.usefixtures("upload_limit")


def test_the_content_is_taken_byte_for_byte() -> None:
    content = bytes(range(256)) * 3 + b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n"
    assert forms.upload(upload_event(content, "a.bin")).content == content


def test_a_file_may_have_as_many_bytes_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "5")
    assert forms.upload(upload_event(b"12345")).content == b"12345"
    with pytest.raises(ImageTooLargeError, match=r"^The file is larger than 5 bytes"):
        forms.upload(upload_event(b"123456"))


def test_the_form_around_a_file_may_have_64_kib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "5")
    file, note = file_part(b"12345", "image.png"), file_part(b"", "note.txt", field="note")
    rest = 64 * 1024 + 5 - len(b64decode(form_event(file, note)["body"]))
    assert forms.upload(form_event(file, file_part(bytes(rest), "note.txt", field="note"))).content == b"12345"
    with pytest.raises(ImageTooLargeError):
        forms.upload(form_event(file, file_part(bytes(rest + 1), "note.txt", field="note")))


def test_other_fields_are_ignored() -> None:
    event = form_event(file_part(b"note", "note.txt", field="note"), file_part(b"image", "image.png"))
    assert forms.upload(event).original_name == "image.png"


def test_the_prompt_is_read_with_single_spaces() -> None:
    assert forms.upload(upload_event(b"image")).prompt == ""
    assert forms.upload(upload_event(b"image", prompt=" ein\r\n Foto\tvon  Käse ")).prompt == "ein Foto von Käse"
    assert forms.upload(upload_event(b"image", prompt="x" * 100)).prompt == "x" * 100
    assert forms.upload(upload_event(b"image", prompt="a\0b \x1b[31m\x85")).prompt == "a b [31m"


@pytest.mark.parametrize("prompt", [b"x" * 101, b"\xff"])
def test_an_invalid_prompt_is_refused(prompt: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="prompt"):
        forms.upload(form_event(file_part(b"image", "image.png"), text_part(prompt, "prompt")))


def test_a_second_prompt_is_refused() -> None:
    two = [text_part(b"a photograph of", "prompt")] * 2
    with pytest.raises(InvalidRequestError, match="The field 'prompt' came 2 times"):
        forms.upload(form_event(file_part(b"image", "image.png"), *two))


def test_the_case_of_header_names_does_not_matter() -> None:
    event = upload_event(b"image")
    event["headers"] = {"content-type": event["headers"]["Content-Type"]}
    assert forms.upload(event).content == b"image"


def test_a_body_that_is_not_base64_is_taken_as_text() -> None:
    event = upload_event(b"image")
    event["body"] = (file_part(b"image", "image.png") + f"--{BOUNDARY}--\r\n".encode()).decode()
    event["isBase64Encoded"] = False
    assert forms.upload(event).content == b"image"


def encoded(encoding: str, content: bytes) -> bytes:
    """Return the content of an uploaded part with this Content-Transfer-Encoding."""
    head = b'filename="a.png"\r\n'
    part = file_part(content, "a.png").replace(head, head + f"Content-Transfer-Encoding: {encoding}\r\n".encode())
    return forms.upload(form_event(part)).content


CONTENT = bytes(range(256))


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", "BINARY", "8Bit ", ""])
def test_most_transfer_encodings_change_nothing(encoding: str) -> None:
    assert encoded(encoding, CONTENT) == CONTENT


@pytest.mark.parametrize("encoding", ["base64", "BASE64", "Base64 "])
@pytest.mark.parametrize(
    "sent",
    [
        b64encode(CONTENT),
        encodebytes(CONTENT),
        encodebytes(CONTENT).replace(b"\n", b"\r\n"),
        b" \t" + b64encode(CONTENT),
    ],
)
def test_a_part_in_base64_is_decoded(encoding: str, sent: bytes) -> None:
    assert encoded(encoding, sent) == CONTENT


@pytest.mark.parametrize("sent", [b"aW1hZ2U", b"aW1h?Z2U=", b"aW1h=ZZU", CONTENT, b"\x89PNG"])
def test_a_part_in_broken_base64_is_refused(sent: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="The field 'file' is not valid base64"):
        encoded("base64", sent)


@pytest.mark.parametrize("encoding", ["quoted-printable", "Quoted-Printable"])
def test_a_part_in_quoted_printable_is_decoded(encoding: str) -> None:
    assert encoded(encoding, b2a_qp(CONTENT, istext=False)) == CONTENT


@pytest.mark.parametrize("encoding", ["gzip", "x-uuencode", "base 64"])
def test_an_unknown_transfer_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"The Content-Transfer-Encoding '{encoding}' is not supported"):
        encoded(encoding, CONTENT)


def test_the_limit_applies_to_the_decoded_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "5")
    assert encoded("base64", b"MTIzNDU=") == b"12345"
    with pytest.raises(ImageTooLargeError):
        encoded("base64", b"MTIzNDU2")


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_an_empty_file_in_base64_is_empty(sent: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="The uploaded file is empty"):
        encoded("base64", sent)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate", "zstd", "gzip, br"])
@pytest.mark.parametrize("header", ["Content-Encoding", "content-encoding"])
def test_a_compressed_request_is_refused(header: str, encoding: str) -> None:
    event = upload_event(b"image")
    event["headers"][header] = encoding
    with pytest.raises(InvalidRequestError, match=rf"compressed \(Content-Encoding: {encoding.lower()}\)"):
        forms.upload(event)


@pytest.mark.parametrize("encoding", ["identity", "Identity", "", None])
def test_the_request_may_say_that_it_is_not_compressed(encoding: str | None) -> None:
    event = upload_event(b"image")
    event["headers"]["Content-Encoding"] = encoding
    assert forms.upload(event).content == b"image"


def test_a_client_is_told_how_to_send_a_file() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        forms.upload(form_event(file_part(b"image", "image.png", field="picture")))
    assert str(refused.value) == (
        "The field 'file' is missing. Send multipart/form-data with one file in the field 'file', "
        "for example: curl -F file=@photo.jpg"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({"body": body}, "The form is malformed") for body in (None, "")),
        *(
            ({"body": body}, r"^The request body is not valid base64\. Send ")
            for body in ("aW1hZ2U", "aW1h?Z2U=", "aW1hZ2Ué")
        ),
        *(
            ({"headers": headers}, "not multipart/form-data")
            for headers in (None, {}, {"Content-Type": None}, {"Content-Type": "text/plain"})
        ),
    ],
)
def test_a_request_without_a_whole_form_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        forms.upload(upload_event(b"image") | changes)


@pytest.mark.parametrize("change", [(b"form-data; ", b"form-data;\r\n "), (b' name="file";', b"")])
def test_a_form_is_read_strictly(change: tuple[bytes, bytes]) -> None:
    with pytest.raises(InvalidRequestError, match="The form is malformed"):
        forms.upload(form_event(file_part(b"image", "image.png").replace(*change)))


@pytest.mark.parametrize("boundary", ["a=b", "=ab", "a:b", "(a)", "a/b", "a,b", "a b", "a@b", "a?", "----=_Part_1_2.3"])
@pytest.mark.parametrize("form", ["boundary={}", "Boundary = {}", "charset=utf-8; boundary={} ; x=y"])
def test_a_boundary_that_needs_quotes_is_refused_without_them(boundary: str, form: str) -> None:
    event = upload_event(b"image")
    event["headers"]["Content-Type"] = f"multipart/form-data; {form.format(boundary)}"
    with pytest.raises(InvalidRequestError) as refused:
        forms.upload(event)
    assert str(refused.value) == (
        "The boundary in the Content-Type header contains characters that need quotes. "
        f'Please send: multipart/form-data; boundary="{boundary}"'
    )


@pytest.mark.parametrize(
    ("boundary", "parameter"),
    [
        *((boundary, f'"{boundary}"') for boundary in ("a=b", "a:b", "(a)", "a/b c?", "----=_Part_1_2.3")),
        *((token, f"{token} ; charset=utf-8") for token in ("a'b", "a+b_c.d!e", "----WebKitFormBoundary7MA4YWxk")),
    ],
)
def test_a_boundary_may_have_special_characters_in_quotes_and_those_of_a_token_without(
    boundary: str, parameter: str
) -> None:
    event = upload_event(b"image")
    event["headers"]["Content-Type"] = f"multipart/form-data; boundary={parameter}"
    event["body"] = b64encode(b64decode(event["body"]).replace(BOUNDARY.encode(), boundary.encode())).decode()
    assert forms.upload(event).content == b"image"


def test_half_of_a_surrogate_pair_in_a_text_body_is_replaced() -> None:
    event = upload_event(b"image")
    event["body"] = (file_part(b"image", "image.png") + f"--{BOUNDARY}--\r\n".encode()).decode()
    event["body"] = event["body"].replace("image\r", "image\ud83d\r")
    event["isBase64Encoded"] = False
    assert forms.upload(event).content == b"image?"


@pytest.mark.parametrize("boundary", ["", '""', "\u00e9", "other"])
def test_a_useless_boundary_is_refused(boundary: str) -> None:
    event = upload_event(b"image")
    event["headers"]["Content-Type"] = f"multipart/form-data; boundary={boundary}"
    with pytest.raises(InvalidRequestError):
        forms.upload(event)

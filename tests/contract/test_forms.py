"""The responses to malformed requests. Such requests are not counted in the statistics."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from tests.contract.client import Client
from tests.contract.examples import UNSUPPORTED
from tests.contract.forms import END, part
from tests.contract.refusals import HINT, refusal
from tests.pictures import scene_png

pytestmark = pytest.mark.usefixtures("not_counted")
CUT_OFF = "Unexpected end of multipart stream (parser closed)"
NO_BOUNDARY = "Boundary not found in first chunk"
NOT_BASE64 = "The field 'file' is not valid base64, although its Content-Transfer-Encoding is base64."
EMPTY = "The uploaded file is empty. Please send a file with content."


@pytest.mark.parametrize("field", ["image", "File", "files", "file[]"])
def test_the_field_must_be_there(api: Client, field: str) -> None:
    assert refusal(api.upload(scene_png(), "a.png", field=field)) == (400, f"The field 'file' is missing. {HINT}")


def test_an_empty_form_has_no_field(api: Client) -> None:
    assert refusal(api.post_form(END.lstrip())) == (400, f"The field 'file' is missing. {HINT}")


@pytest.mark.parametrize("second", ['name="file"; filename="b.png"', 'name="file"'], ids=["file", "text"])
def test_the_field_must_come_once(api: Client, second: str) -> None:
    form = part(scene_png()) + b"\r\n" + part(scene_png(), second) + END
    assert refusal(api.post_form(form)) == (400, f"The field 'file' came 2 times. {HINT}")


NAMELESS = pytest.mark.parametrize(
    "parameters", ['name="file"', 'name="file"; filename=""'], ids=["a text field", "no file chosen"]
)


@NAMELESS
def test_text_in_the_field_is_no_image(api: Client, parameters: str) -> None:
    assert refusal(api.post_form(part(b"photo.jpg", parameters) + END)) == (415, UNSUPPORTED["error"])


@NAMELESS
def test_the_field_must_not_be_empty(api: Client, parameters: str) -> None:
    assert refusal(api.post_form(part(b"", parameters) + END)) == (400, EMPTY)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a"])
def test_the_file_must_not_be_empty(api: Client, name: str) -> None:
    assert refusal(api.upload(b"", name)) == (400, EMPTY)


BROKEN = {
    "inside the file": (part(scene_png()), CUT_OFF),
    "inside the last boundary": (part(scene_png()) + END[:-4], CUT_OFF),
    "inside the headers": (part(b"")[:40], CUT_OFF),
    "no body": (b"", CUT_OFF),
    "no boundary": (scene_png(), NO_BOUNDARY),
    "another boundary": ((part(scene_png()) + END).replace(b"BOUNDARY", b"ANOTHER"), NO_BOUNDARY),
    "no headers": (b"--BOUNDARY\r\n\r\nno headers" + END, "Missing Content-Disposition segment header"),
}


@pytest.mark.parametrize(("form", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_form_must_be_whole(api: Client, form: bytes, reason: str) -> None:
    assert refusal(api.post_form(form)) == (400, f"The form is malformed: {reason}. {HINT}")


@pytest.mark.parametrize("parameter", ["", "; boundary=", '; boundary=""', "; charset=utf-8"])
def test_the_boundary_must_be_named(api: Client, parameter: str) -> None:
    response = api.post(part(scene_png()) + END, f"multipart/form-data{parameter}")
    assert refusal(response) == (400, f"The Content-Type header has no boundary. {HINT}")


@pytest.mark.parametrize("boundary", ["a=b", "----=_Part_7:1", "a b"])
def test_a_boundary_with_special_characters_needs_quotes(api: Client, boundary: str) -> None:
    form = (part(scene_png()) + END).replace(b"BOUNDARY", boundary.encode())
    message = (
        "The boundary in the Content-Type header contains characters that need quotes. "
        f'Please send: multipart/form-data; boundary="{boundary}"'
    )
    assert refusal(api.post(form, f"multipart/form-data; boundary={boundary}")) == (400, message)


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_the_form_must_not_be_compressed(api: Client, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    response = api.post(compress(part(scene_png()) + END), "multipart/form-data; boundary=BOUNDARY", encoding)
    message = (
        f"The request body is compressed (Content-Encoding: {encoding}). "
        "Please send the form uncompressed, without a Content-Encoding header."
    )
    assert refusal(response) == (400, message)


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("base64", f"{NOT_BASE64} Please send it without an encoding."),
        ("uu", "The Content-Transfer-Encoding 'uu' is not supported. Please send the field without an encoding."),
    ],
)
def test_the_file_must_be_in_the_encoding_that_it_names(api: Client, encoding: str, message: str) -> None:
    assert refusal(api.post_form(part(scene_png(), encoding=encoding) + END)) == (400, message)


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize("body", [b'{"file": "a.png"}', b""], ids=["text", "empty"])
def test_the_body_must_be_a_form(api: Client, body: bytes, media_type: str | None) -> None:
    assert refusal(api.post(body, media_type)) == (400, f"The request is not multipart/form-data. {HINT}")

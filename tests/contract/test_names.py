"""File names and forms that must be accepted."""

import base64
from binascii import b2a_qp
from collections.abc import Callable
from functools import partial

import pytest

from tests.contract.client import Client
from tests.contract.forms import END, part
from tests.pictures import scene_png

NAMES = [
    ("photo.JPG", "photo.JPG"),
    ("no extension", "no extension"),
    ("two  spaces.tar.png", "two  spaces.tar.png"),
    ("Grüße aus 東京 🗼.png", "Grüße aus 東京 🗼.png"),
    ("it's; a, <b>name<b> & more=1.png", "it's; a, <b>name<b> & more=1.png"),
    (r"say \"cheese\".png", 'say "cheese".png'),
    ("say %22cheese%22.png", 'say "cheese".png'),
    ("../../etc/passwd", "passwd"),
    ("/tmp/photo.png", "photo.png"),
    (r"C:\Users\me\photo.png", "photo.png"),
    ("folder/", "unnamed"),
    ("photo\u202egnp.exe", "photognp.exe"),
    ("n" * 300 + ".png", "n" * 255),
    ("東" * 300, "東" * 255),
    ("می\u200cروم.png", "می\u200cروم.png"),
    ("👩\u200d🚀.png", "👩\u200d🚀.png"),
    ("🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f.png",) * 2,
    ("\U0001fade.png", "\U0001fade.png"),
]
# The parameters of Content-Disposition after name="file".
PARAMETERS = [
    *((f'; filename="{sent}"', shown) for sent, shown in NAMES),
    ("; filename=\"Fete.png\"; filename*=UTF-8''F%C3%AAte.png", "Fête.png"),
    ("; filename*=iso-8859-1'fr'F%EAte.png", "Fête.png"),
    ("; filename=\"Fete.png\"; filename*=UTF-8''F%EAte.png", "Fete.png"),
    ("", "unnamed"),
    ('; filename=""', "unnamed"),
    ('; filename="caf\udce9.png"', "caf\ufffd.png"),  # not UTF-8
]


@pytest.mark.parametrize(("parameters", "shown"), PARAMETERS, ids=ascii)
def test_any_name_is_accepted_and_only_its_last_part_shown(api: Client, parameters: str, shown: str) -> None:
    form = part(scene_png()).replace(b'; filename="a.png"', parameters.encode(errors="surrogateescape"))
    response = api.post_form(form + END)
    assert response.status_code == 200
    image = response.json()["data"]
    assert image["original_name"] == shown
    stored = api.get(f"/api/images/{image['image_id']}").json()["data"]["data"]
    assert stored["original_name"] == shown


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("base64", base64.encodebytes),
        ("Base64", base64.b64encode),
        ("quoted-printable", partial(b2a_qp, istext=False)),
        ("binary", bytes),
        ("8BIT", bytes),
    ],
)
def test_the_file_may_be_encoded(api: Client, encoding: str, encode: Callable[[bytes], bytes]) -> None:
    content = scene_png()
    response = api.post_form(part(encode(content), encoding=encoding) + END)
    assert response.status_code == 200
    assert response.json()["data"]["metadata"]["size_bytes"] == len(content)


@pytest.mark.parametrize(
    "other",
    [
        part(b"A scene", 'name="title"'),
        part(b"", 'name="empty"'),
        part(b"GIF89a", 'name="other"; filename="b.gif"', "image/gif"),
    ],
    ids=["text", "empty", "file"],
)
@pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])
def test_other_fields_beside_the_file_are_ignored(api: Client, other: bytes, order: int) -> None:
    content = scene_png()
    response = api.post_form(b"\r\n".join([other, part(content)][::order]) + END)
    assert response.status_code == 200
    data = response.json()["data"]
    assert (data["original_name"], data["metadata"]["size_bytes"]) == ("a.png", len(content))


def test_the_case_of_the_media_type_does_not_matter(api: Client) -> None:
    response = api.post(part(scene_png()) + END, "Multipart/Form-Data; Boundary=BOUNDARY")
    assert response.status_code == 200


@pytest.mark.parametrize("boundary", ["a=b", "----=_Part_7:1", "a b"])
def test_a_boundary_in_quotes_may_have_special_characters(api: Client, boundary: str) -> None:
    form = (part(scene_png()) + END).replace(b"BOUNDARY", boundary.encode())
    assert api.post(form, f'multipart/form-data; boundary="{boundary}"').status_code == 200

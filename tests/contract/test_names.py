"""The name of the file and the form around it: anything goes, and changes nothing."""

import pytest

from tests.contract.client import Client
from tests.contract.forms import END, part
from tests.pictures import scene_png


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
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
    ],
)
def test_any_name_is_accepted_and_only_its_last_part_shown(api: Client, sent: str, shown: str) -> None:
    response = api.post_form(part(scene_png(), f'name="file"; filename="{sent}"') + END)
    assert response.status_code == 200
    image = response.json()["data"]
    assert image["original_name"] == shown
    stored = api.get(f"/api/images/{image['image_id']}").json()["data"]["data"]
    assert stored["original_name"] == shown


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


def test_the_media_type_of_the_form_has_no_case(api: Client) -> None:
    response = api.post(part(scene_png()) + END, "Multipart/Form-Data; Boundary=BOUNDARY")
    assert response.status_code == 200

"""The colours that a page shows until a thumbnail is loaded."""

import pytest
from PIL import Image

from tests.contract.client import Client
from tests.contract.refusals import refusal
from tests.pictures import encode, scene_png


def test_the_placeholder_is_the_same_everywhere(api: Client) -> None:
    white_with_a_stripe = Image.new("RGB", (400, 300), "white")
    white_with_a_stripe.paste("red", (0, 0, 40, 300))
    data = api.upload(encode(white_with_a_stripe), "stripe.png", details="placeholder").json()["data"]
    image_id = data["image_id"]
    assert data["placeholder"] == {"color": "#ffffff"}
    assert "caption_details" not in data
    assert api.get(f"/api/images/{image_id}?details=placeholder").json()["data"]["data"]["placeholder"] == {
        "color": "#ffffff"
    }
    api.wait_until_listed(image_id)
    listed = api.get("/api/images?limit=100&details=placeholder").json()["content"]
    assert listed[image_id]["data"]["placeholder"] == {"color": "#ffffff"}
    assert "placeholder" not in api.get(f"/api/images/{image_id}").json()["data"]["data"]


def test_both_details_can_be_asked_for(api: Client) -> None:
    for details in ("caption,placeholder", "placeholder,caption"):
        data = api.upload(scene_png(), "scene.png", details=details).json()["data"]
        assert data["caption_details"]["model"] == "demo"
        assert data["placeholder"]["color"].startswith("#")


def test_a_transparent_image_has_no_placeholder(api: Client) -> None:
    transparent = encode(Image.new("RGBA", (40, 30)))
    assert api.upload(transparent, "clear.png", details="placeholder").json()["data"]["placeholder"] is None


@pytest.mark.parametrize("details", ["all", "", "caption,", "caption,all", "caption,caption"])
def test_other_details_are_refused(api: Client, details: str) -> None:
    names = [value for value in api.choices("Details") if "," not in value]
    message = f"Invalid details. Please use {', '.join(names)}, or {','.join(names)}."
    assert refusal(api.get(f"/api/images?details={details}")) == (400, message)

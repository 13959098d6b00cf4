"""The picture of the viewer: its large version, its zoom, and its download."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Site, only_root, photograph
from tests.browser.gallery import Gallery
from tests.browser.test_gallery import SCENES

pytestmark = only_root
LARGE_SIDE = 1600
_LIST = re.compile(r"/api/images\?")
_ONE = re.compile(r"/api/images/[\da-f-]{36}\?")


def large_picture(width: int = 1600, height: int = 1067) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def change_images(page: Page, change: Mapping[str, Any]) -> None:
    """Add to the data of each image in the list, and of each single image."""

    def answer(route: Route) -> None:
        if route.request.method != "GET":
            route.fallback()
            return
        body = route.fetch(url=re.sub("(,|%2C)(large|download)", "", route.request.url)).json()
        for each in body["content"].values() if "content" in body else [body["data"]]:
            data = each["data"]
            address = data["thumbnails"]["medium"].replace("/medium.", "/large.")
            data["metadata"] |= {"width": 4000, "height": 2667}
            data["thumbnails"]["large"] = address
            data |= change
        route.fulfill(json=body)

    for url in (_LIST, _ONE):
        page.route(url, answer)


@pytest.fixture
def gallery(site: Site, page: Page) -> Iterator[Gallery]:
    """A gallery of a stack that has large thumbnails. It has two images."""
    Gallery(page, site.url).add(photograph("rocket.jpg"), SCENES[0])
    change_images(page, {})
    page.route("**/thumbnails/large.*", lambda route: route.fulfill(body=large_picture(), content_type="image/png"))
    page.add_init_script(
        f"""addEventListener("readystatechange", () => (document.body.dataset.largeThumbnail = "{LARGE_SIDE}"), true)"""
    )
    yield Gallery(page, site.url)
    page.unroute_all(behavior="ignoreErrors")  # the page may still wait for an answer


def open_first(gallery: Gallery) -> Locator:
    """Open the first image, and return its picture when the large one is loaded."""
    gallery.cards.first.get_by_role("button").click()
    picture = gallery.page.locator("#detail-image")
    expect(picture).to_have_js_property("naturalWidth", LARGE_SIDE)
    return picture


def scale(picture: Locator) -> float:
    found: float = picture.evaluate("image => new DOMMatrix(getComputedStyle(image).transform).a")
    return found


def box(locator: Locator) -> tuple[float, float, float, float]:
    found = locator.bounding_box()
    assert found
    return found["x"], found["y"], found["width"], found["height"]


def test_the_large_picture_replaces_the_medium_one_without_moving(gallery: Gallery, page: Page) -> None:
    held: list[Route] = []
    is_held = True

    def answer(route: Route) -> None:
        if is_held:
            held.append(route)
        else:
            route.fulfill(body=large_picture(), content_type="image/png")

    page.unroute("**/thumbnails/large.*")
    page.route("**/thumbnails/large.*", answer)
    gallery.open("rocket.jpg")
    picture = page.locator("#detail-image")
    expect(picture).to_have_js_property("naturalWidth", 512)
    before = box(picture)
    assert before[2] > 600
    is_held = False
    for route in held:
        answer(route)
    expect(picture).to_have_js_property("naturalWidth", LARGE_SIDE)
    assert box(picture) == pytest.approx(before, abs=2)  # the sides of both are rounded


def test_a_missing_large_picture_leaves_the_medium_one(gallery: Gallery, page: Page) -> None:
    page.unroute("**/thumbnails/large.*")
    page.route("**/thumbnails/large.*", lambda route: route.fulfill(body="gone", content_type="text/plain"))
    gallery.open("rocket.jpg")
    page.wait_for_timeout(600)
    expect(page.locator("#detail-image")).to_have_js_property("naturalWidth", 512)


def test_the_large_pictures_of_the_neighbours_are_loaded_ahead(gallery: Gallery, page: Page) -> None:
    other = gallery.cards.nth(1).get_attribute("data-id")
    with page.expect_request(re.compile(f"{other}/thumbnails/large")):
        open_first(gallery)


def test_the_wheel_zooms_at_the_pointer(gallery: Gallery, page: Page) -> None:
    picture = open_first(gallery)
    x, y, width, height = box(picture)
    at = (x + 0.25 * width, y + 0.5 * height)
    page.mouse.move(*at)
    page.mouse.wheel(0, -150)
    page.mouse.wheel(0, -150)
    page.wait_for_function("new DOMMatrix(document.querySelector('#detail-image').style.transform).a > 1.9")
    x, y, width, height = box(picture)
    assert (at[0] - x) / width == pytest.approx(0.25, abs=0.01)
    for _ in range(20):
        page.mouse.wheel(0, -500)
    page.wait_for_timeout(200)
    assert 2 <= scale(picture) <= 8
    for _ in range(20):
        page.mouse.wheel(0, 500)
    page.wait_for_function("document.querySelector('#detail-image').style.transform === ''")


def test_a_double_click_zooms_and_a_drag_moves_the_picture(gallery: Gallery, page: Page) -> None:
    picture, stage = open_first(gallery), page.locator(".picture")
    x, y, width, height = box(picture)
    page.mouse.dblclick(x + width / 2, y + height / 2)
    assert scale(picture) == 2.5
    before = box(picture)
    page.mouse.move(x + width / 2, y + height / 2)
    page.mouse.down()
    page.mouse.move(x + width / 2 + 60, y + height / 2 + 40, steps=3)
    page.mouse.up()
    after = box(picture)
    assert (after[0] - before[0], after[1] - before[1]) == pytest.approx((60, 40), abs=1)
    page.mouse.move(x + width / 2, y + height / 2)
    page.mouse.down()
    page.mouse.move(x + 5000, y + 5000, steps=3)
    page.mouse.up()
    assert box(picture)[:2] == pytest.approx(box(stage)[:2], abs=1)  # no further than its edge
    expect(gallery.detail).to_be_visible()
    page.wait_for_timeout(400)
    page.mouse.dblclick(x + width / 2, y + height / 2)
    assert scale(picture) == 1


def test_a_click_beside_the_picture_closes_the_viewer(gallery: Gallery, page: Page) -> None:
    picture = open_first(gallery)
    x, y, width, _ = box(picture)
    page.mouse.click(x + width / 2, y + 5)
    expect(gallery.detail).to_be_visible()
    page.mouse.click(x + width / 2, y - 20)
    expect(gallery.detail).to_be_hidden()


def test_the_keyboard_zooms_moves_and_goes_on(gallery: Gallery, page: Page) -> None:
    picture, name = open_first(gallery), gallery.detail.locator("#detail-name")
    first = name.inner_text()
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert scale(picture) == 2.25
    left = box(picture)[0]
    page.keyboard.press("ArrowRight")
    assert box(picture)[0] == pytest.approx(left - 80, abs=1)
    expect(name).to_have_text(first)
    page.keyboard.press("-")
    assert scale(picture) == 1.5
    page.keyboard.press("0")
    assert scale(picture) == 1
    gallery.detail.get_by_role("button", name="Zoom in").click()
    assert scale(picture) == 1.5
    gallery.detail.get_by_role("button", name="Older image").click()
    expect(name).not_to_have_text(first)
    assert scale(picture) == 1
    page.keyboard.press("ArrowLeft")
    expect(name).to_have_text(first)


def test_controls_stay_uncovered_while_the_picture_is_zoomed(gallery: Gallery, page: Page) -> None:
    for width, height in ((390, 664), (667, 375), (1280, 900)):
        page.set_viewport_size({"width": width, "height": height})
        picture = open_first(gallery)
        for _ in range(8):
            page.keyboard.press("+")
        assert scale(picture) > 1.9
        for button in gallery.detail.locator(".controls button:enabled").all():
            button.click(trial=True)
        stage, controls = box(page.locator(".picture")), box(page.locator(".controls"))
        assert stage[1] >= controls[1] + controls[3]
        page.screenshot(path=f"build/pages/zoom-{width}x{height}.png")
        gallery.detail.get_by_role("button", name="Close").click()
        expect(gallery.detail).to_be_hidden()


@pytest.fixture
def phone(page: Page) -> Callable[..., None]:
    """A function that touches the screen. It takes the points of the fingers at each moment."""
    page.set_viewport_size({"width": 390, "height": 664})
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})

    def touch(*events: list[tuple[float, float]]) -> None:
        for number, points in enumerate([*events, []]):
            kind = "touchStart" if number == 0 else "touchMove" if points else "touchEnd"
            send = {"type": kind, "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]}
            session.send("Input.dispatchTouchEvent", send)

    return touch


def test_two_fingers_zoom_and_one_finger_moves_or_swipes(gallery: Gallery, phone: Callable[..., None]) -> None:
    picture, name = open_first(gallery), gallery.detail.locator("#detail-name")
    first = name.inner_text()
    x, y, width, height = box(picture)
    middle, centre = y + height / 2, x + width / 2
    phone(*([(centre - d, middle), (centre + d, middle)] for d in (30, 35, 45, 60, 75, 90)))
    assert scale(picture) == pytest.approx(3, abs=0.5)
    before = box(picture)
    phone(*([(300 - d, 300)] for d in (0, 20, 60, 100)))
    assert box(picture)[0] < before[0] - 50
    expect(name).to_have_text(first)
    phone(*([(centre - d, middle), (centre + d, middle)] for d in (90, 75, 45, 30, 20)))
    phone(*([(centre - d, middle), (centre + d, middle)] for d in (90, 75, 45, 30, 20)))
    assert scale(picture) == 1
    phone(*([(300 - d, 200)] for d in (0, 20, 60, 100)))
    expect(name).not_to_have_text(first)


def test_two_taps_zoom(gallery: Gallery, page: Page, phone: Callable[..., None]) -> None:
    picture = open_first(gallery)
    x, y, width, height = box(picture)
    for _ in range(2):
        phone([(x + width / 3, y + height / 2)])
    page.wait_for_function("new DOMMatrix(document.querySelector('#detail-image').style.transform).a === 2.5")


@pytest.mark.parametrize("kind", ["original", "thumbnail"])
def test_the_download_says_what_it_is(gallery: Gallery, page: Page, kind: str) -> None:
    url = f"{gallery.page.url}files/download"
    change_images(page, {"download": {"kind": kind, "url": url}})
    open_first(gallery)
    link = gallery.detail.get_by_role("link", name="Download original" if kind == "original" else "Download picture")
    expect(link).to_have_attribute("href", url)
    expect(link).to_have_attribute("target", "_blank")  # uploads of this page go on


def test_without_a_download_the_viewer_shows_all_else(gallery: Gallery, page: Page) -> None:
    change_images(page, {"download": None})
    open_first(gallery)
    expect(page.locator("#download")).to_be_hidden()
    expect(gallery.detail.get_by_role("link", name="Open thumbnail")).to_have_attribute("href", re.compile("/medium"))
    expect(gallery.detail).to_contain_text("2,667 pixels")


def test_the_viewer_asks_only_for_images_that_are_looked_at(gallery: Gallery, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if _ONE.search(request.url) else None)
    gallery.cards.first.get_by_role("button").click()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(800)
    assert len(asked) == 1
    assert "details=caption,placeholder,large,download" in asked[0]


def test_the_download_has_the_name_of_the_uploaded_file(site: Site, page: Page) -> None:
    own = Gallery(page, site.url)
    own.add(photograph("rocket.jpg"))
    own.open("rocket.jpg")
    link = page.get_by_role("link", name="Download picture")
    expect(link).to_have_attribute("target", "_blank")
    # Playwright tells of downloads in this tab only.
    link.evaluate("link => link.removeAttribute('target')")
    with page.expect_download() as started:
        link.click()
    assert started.value.suggested_filename == "rocket.jpg"


@pytest.mark.parametrize("expected_errors", [["status of 400"]])
@pytest.mark.parametrize("first", ["upload", "search", "view"])
def test_the_page_goes_on_when_the_stack_stops_making_large_thumbnails(
    site: Site, page: Page, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setenv("LARGE_THUMBNAIL", str(LARGE_SIDE))
    own = Gallery(page, site.url)
    own.add(photograph("rocket.jpg"))
    monkeypatch.setenv("LARGE_THUMBNAIL", "0")
    steps: dict[str, Callable[[], None]] = {
        "upload": lambda: own.add(SCENES[0]),
        "search": lambda: find_nothing(own),
        "view": lambda: view(own, "rocket.jpg"),
    }
    with page.expect_response(lambda response: response.status == 400):
        steps.pop(first)()
    refused: list[str] = []
    page.on("response", lambda response: refused.append(response.url) if response.status == 400 else None)
    for step in steps.values():
        step()
    assert refused == []


def find_nothing(gallery: Gallery) -> None:
    count = gallery.cards.count()
    gallery.page.get_by_role("combobox").fill("nothing")
    expect(gallery.page.get_by_text("No image matches")).to_be_visible()
    gallery.page.get_by_role("combobox").fill("")
    expect(gallery.cards).to_have_count(count)


def view(gallery: Gallery, name: str) -> None:
    """Open the image, wait until the API has named its download, and close it."""
    gallery.open(name)
    expect(gallery.detail.get_by_role("link", name="Download picture")).to_be_visible()
    gallery.detail.get_by_role("button", name="Close").click()

"""What people do with the gallery, in three engines."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.browser import engines
from tests.browser.conftest import Site, running_site
from tests.browser.test_gallery import SCENES
from tests.browser.webdriver import Window

NAMES = ".card .name"
NEWEST_FIRST = ["scene-02.png", "scene-01.png"]


@pytest.fixture(scope="module", params=engines.LOOKS)
def window(request: pytest.FixtureRequest) -> Iterator[Window]:
    with engines.running(request.param) as opened:
        opened.resize(1280, 900)
        yield opened


@pytest.fixture(scope="module")
def api() -> Iterator[Site]:
    with running_site() as running:
        yield running


@pytest.fixture
def site(api: Site) -> Site:
    """An API without images. All tests share it, because its start takes seconds."""
    url = f"{api.url}/api/images"
    for image_id in requests.get(url).json().get("content", {}):
        requests.delete(f"{url}/{image_id}").raise_for_status()
    return api


@pytest.fixture(autouse=True)
def scenario(site: Site, window: Window) -> Iterator[None]:
    """Start without what the page of another test has kept. Afterwards, fail if a script of the page failed."""
    window.open(f"{site.url}/docs/docs.js")  # of the same origin, and without a script
    window.run("sessionStorage.clear()")
    window.script_errors()
    yield
    assert window.script_errors() == []


@pytest.fixture
def filled(site: Site, window: Window) -> Window:
    """The gallery with two images."""
    upload(site, *SCENES)
    window.open(f"{site.url}/")
    window.expect_texts(NAMES, *NEWEST_FIRST)
    return window


def upload(site: Site, *files: Path) -> None:
    for file in files:
        requests.post(f"{site.url}/api/images", files={"file": (file.name, file.read_bytes())}).raise_for_status()


def test_an_empty_gallery_says_what_to_do(site: Site, window: Window) -> None:
    window.open(f"{site.url}/")
    window.expect_texts("h1", "Gallery")
    window.expect_texts("#empty-title", "No images yet")
    window.expect_texts("label.primary", "Add images")


def test_an_upload_becomes_a_card_with_its_caption(site: Site, window: Window) -> None:
    window.open(f"{site.url}/")
    window.choose(*SCENES)
    window.expect_count(".card", 2)
    window.expect_texts("#uploads")
    assert sorted(window.texts(NAMES)) == ["scene-01.png", "scene-02.png"]
    assert "a small yellow star left of a large blue triangle on a white background" in window.texts(".card .caption")
    assert window.run("return Promise.all([...document.querySelectorAll('.card img')].map((image) => image.decode()))")


def test_a_search_finds_a_caption_and_back_ends_it(filled: Window, site: Site) -> None:
    wait_until_searchable(site, "star")
    filled.write("#search", "yellow star")
    filled.expect_texts(NAMES, "scene-01.png")
    filled.expect_address("/#/search/yellow%20star")
    filled.back()
    filled.expect_texts(NAMES, *NEWEST_FIRST)


def test_the_viewer_goes_through_the_list_and_back_closes_it(filled: Window) -> None:
    filled.click(".card .open")
    filled.expect_texts("#detail-name", "scene-02.png")
    filled.click("#next")
    filled.expect_texts("#detail-name", "scene-01.png")
    filled.back()
    filled.expect_texts("#detail")
    filled.expect_address("/")
    filled.expect_focus(f"{card('scene-01.png')} .open")


def test_the_address_of_an_image_opens_it(filled: Window) -> None:
    filled.click(f"{card('scene-01.png')} .open")
    filled.expect_texts("#detail-name", "scene-01.png")
    filled.reload()
    filled.expect_texts("#detail-name", "scene-01.png")
    filled.click("#close")
    filled.expect_texts(NAMES, *NEWEST_FIRST)
    filled.expect_address("/")


def test_two_selected_images_are_deleted_and_come_back(filled: Window) -> None:
    filled.click(f"{card('scene-01.png')} .select")
    filled.click(f"{card('scene-02.png')} .select")
    filled.expect_texts("#selection-count", "2 selected")
    filled.click("#delete-selected")
    filled.expect_texts(NAMES)
    filled.expect_texts("#toast-text", "Deleted 2 images")
    filled.click("#undo")
    filled.expect_texts(NAMES, *NEWEST_FIRST)


def test_an_upload_goes_on_after_a_lost_connection(filled: Window, site: Site) -> None:
    with site.stopped():
        filled.choose(SCENES[0])
        filled.expect_count("#unreachable", 1)
    filled.expect_count(".card", 3)
    filled.expect_count("#unreachable", 0)


def test_the_keyboard_is_enough(filled: Window) -> None:
    tab_to(filled, ".card .open")
    filled.press("Enter")
    filled.expect_texts("#detail-name", "scene-02.png")
    filled.press("ArrowRight")
    filled.expect_texts("#detail-name", "scene-01.png")
    filled.press("Escape")
    filled.expect_texts("#detail")
    filled.expect_focus(f"{card('scene-01.png')} .open")
    tab_to(filled, ".select")
    filled.press("Space")
    filled.expect_texts("#selection-count", "1 selected")
    filled.press("Escape")
    filled.expect_texts("#selection-count")
    filled.press("Shift", "Tab")
    filled.press("Enter")
    tab_to(filled, "#delete")
    filled.press("Enter")
    filled.expect_texts(NAMES, "scene-02.png")
    filled.expect_focus("#undo")
    filled.press("Enter")
    filled.expect_texts(NAMES, *NEWEST_FIRST)


def card(name: str) -> str:
    """Return the selector of the card of this file."""
    return f'.card:has([aria-label$="{name}"])'


def tab_to(window: Window, css: str) -> None:
    for _ in range(30):
        window.press("Tab")
        if window.run("return document.activeElement.matches(arguments[0])", css):
            return
    pytest.fail(f"Tab does not lead to {css}")


def wait_until_searchable(site: Site, word: str) -> None:
    end = time.monotonic() + 60
    while not requests.get(f"{site.url}/api/images", params={"q": word}).json().get("content"):
        assert time.monotonic() < end, f"no search finds {word}"
        time.sleep(0.1)

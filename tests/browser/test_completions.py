"""What the search box offers while one types: words of the found images."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Site, only_root
from tests.browser.gallery import Gallery
from tests.browser.test_gallery import SCENES

pytestmark = only_root


@pytest.fixture
def gallery(site: Site, page: Page) -> Gallery:
    """A gallery of two images. Only the first one has a star."""
    opened = Gallery(page, site.url)
    opened.add(*SCENES)
    while len(page.request.get(f"{site.url}/api/images?q=scene").json().get("content", [])) < len(SCENES):
        page.wait_for_timeout(100)  # the index follows with a delay
    return opened


@pytest.fixture
def box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search captions and file names")


def offered(page: Page) -> list[str]:
    values: list[str] = page.locator("#completions").evaluate("list => [...list.options].map(({value}) => value)")
    return values


def test_words_that_begin_like_the_last_one_are_offered(gallery: Gallery, page: Page, box: Locator) -> None:
    box.press_sequentially("Yellow st")
    expect(gallery.cards).to_have_count(1)
    expect(page.locator("#completions option")).to_have_count(1)
    assert offered(page) == ["yellow star"]
    box.press_sequentially("ar")
    expect(page.locator("#completions option")).to_have_count(0)
    box.fill("")
    expect(gallery.cards).to_have_count(2)
    assert offered(page) == []


def test_a_chosen_word_is_searched(gallery: Gallery, page: Page, box: Locator) -> None:
    box.press_sequentially("st")
    expect(page.locator("#completions option")).to_have_count(1)
    # A browser without a screen has no list to choose from. After a choice, it changes the box like this.
    box.fill(offered(page)[0])
    expect(page).to_have_url(re.compile("#/search/star$"))
    expect(gallery.cards).to_have_count(1)


def test_words_of_a_deleted_image_are_not_offered(gallery: Gallery, page: Page, box: Locator) -> None:
    box.press_sequentially("s")
    expect(page.locator("#completions option")).not_to_have_count(0)
    assert {"scene", "star"} <= set(offered(page))
    gallery.delete("scene-01.png")
    expect(gallery.cards).to_have_count(1)
    assert "scene" in offered(page)
    assert "star" not in offered(page)
    page.get_by_role("button", name="Undo").click()
    expect(gallery.cards).to_have_count(2)
    assert "star" in offered(page)
    gallery.delete("scene-01.png")
    with page.expect_response(lambda response: "q=st" in response.url):
        box.fill("st")
    expect(page.locator("#images")).to_have_attribute("aria-busy", "false")
    assert offered(page) == []

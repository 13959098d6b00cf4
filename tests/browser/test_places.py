"""Where one was: the place in the list after a reload and after Back, and images that others have deleted."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, only_root
from tests.browser.gallery import SECONDS, Gallery, file
from tests.browser.test_gallery import SCENES, stored_thumbnails
from tests.pictures import scene_png
from tools.local.sample_images import sample_image, store_sample

pytestmark = only_root


@pytest.fixture
def gallery(site: Site, page: Page) -> Gallery:
    """A gallery of 120 images: three pages of the list."""
    Gallery(page, site.url).add(SCENES[0])
    thumbnails = stored_thumbnails(page)
    for minutes in range(119):
        store_sample(
            replace(sample_image(minutes=minutes), original_name=f"image {minutes}.png", thumbnails=thumbnails)
        )
    return Gallery(page, site.url)


def scroll_to_the_end(gallery: Gallery) -> float:
    """Return the place, when the history has it."""
    gallery.page.wait_for_function(
        """() => {
            scrollTo(0, document.body.scrollHeight);
            const place = history.state?.place;
            return place?.count === 120 && Math.abs(place.y - scrollY) < 2;
        }""",
        polling=600,  # ms: the page keeps the place when it has not been scrolled for a moment
    )
    y: float = gallery.page.evaluate("scrollY")
    assert y > 2000
    return y


def expect_place(page: Page, y: float) -> None:
    page.wait_for_function("y => Math.abs(scrollY - y) < 2", arg=y)


def test_a_reload_keeps_the_place(gallery: Gallery, page: Page) -> None:
    y = scroll_to_the_end(gallery)
    page.reload()
    expect_place(page, y)
    expect(gallery.cards).to_have_count(120)


def test_back_from_another_page_keeps_the_place(gallery: Gallery, page: Page) -> None:
    y = scroll_to_the_end(gallery)
    page.get_by_role("link", name="API reference").evaluate("link => link.click()")
    page.wait_for_url("**/docs")
    page.go_back()
    expect_place(page, y)


def test_back_from_a_search_keeps_the_place_and_a_search_begins_at_the_top(gallery: Gallery, page: Page) -> None:
    y = scroll_to_the_end(gallery)
    page.get_by_role("combobox").evaluate(
        'box => { box.value = "nothing"; box.dispatchEvent(new Event("input", { bubbles: true })); }'
    )
    expect(page.get_by_text("No image matches")).to_be_visible()
    expect_place(page, 0)
    page.go_back()
    expect_place(page, y)


def test_back_from_an_image_keeps_the_place(gallery: Gallery, page: Page) -> None:
    y = scroll_to_the_end(gallery)
    gallery.open("image 3.png")
    page.reload()
    expect(gallery.detail).to_contain_text("image 3.png")
    page.go_back()
    expect(gallery.detail).to_be_hidden()
    expect_place(page, y)


@pytest.mark.parametrize("expected_errors", [["status of 404"]])
def test_an_image_that_others_deleted_is_gone_when_it_is_opened(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    expect(gallery.statistic("success")).to_have_text("2")  # so the list is not read again soon
    first = gallery.cards.first
    name = first.locator(".name").inner_text()
    page.request.delete(f"{site.url}/api/images/{first.get_attribute('data-id')}")
    gallery.open(name)
    expect(gallery.detail.locator("#detail-caption")).to_have_text("This image is deleted.")
    expect(gallery.detail.get_by_role("button", name="Delete image")).to_be_hidden()
    expect(page.locator(".card")).to_have_count(1)
    gallery.detail.get_by_role("button", name="Older image").click()
    expect(gallery.detail.locator("#detail-caption")).not_to_have_text("This image is deleted.")
    expect(gallery.detail.get_by_role("button", name="Delete image")).to_be_visible()
    expect(gallery.detail.get_by_role("button", name="Newer image")).to_be_disabled()


def test_an_image_that_others_deleted_is_gone_at_the_next_list(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    expect(gallery.statistic("success")).to_have_text("2")
    names = page.locator(".card .name")
    first, kept = gallery.cards.first, names.last.inner_text()
    with page.expect_response(re.compile(r"/api/images/[\da-f-]{36}\?")):
        gallery.open(names.first.inner_text())
    page.request.delete(f"{site.url}/api/images/{first.get_attribute('data-id')}")
    page.request.post(f"{site.url}/api/images", multipart={"file": file("other.png", scene_png())})
    expect(gallery.detail.locator("#detail-caption")).to_have_text("This image is deleted.", timeout=30 * SECONDS)
    expect(names).to_have_text(["other.png", kept])

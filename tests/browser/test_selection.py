"""Several images at once: selecting them, and what can be done with them."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, accessibility_violations, only_root
from tests.browser.gallery import SECONDS, Gallery
from tests.browser.test_gallery import SAMPLES

pytestmark = only_root


@pytest.fixture
def gallery(site: Site, page: Page) -> Gallery:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = Gallery(page, site.url)
    opened.add(*sorted(SAMPLES.glob("scene-0[1-4].png")))
    expect(page.locator("#uploads")).to_be_hidden()
    return opened


def test_images_are_selected_by_click_shift_and_keyboard(gallery: Gallery, page: Page) -> None:
    boxes, count = page.locator(".card .select"), page.locator("#selection-count")
    gallery.cards.first.hover()
    boxes.first.click()
    expect(count).to_have_text("1 selected")
    assert accessibility_violations(page) == []
    gallery.cards.nth(2).click(modifiers=["Shift"])
    expect(count).to_have_text("3 selected")
    gallery.cards.nth(1).click()
    expect(count).to_have_text("2 selected")
    expect(gallery.detail).to_be_hidden()
    boxes.nth(3).focus()
    page.keyboard.press("Space")
    expect(count).to_have_text("3 selected")
    page.keyboard.press("Escape")
    expect(page.locator("#selection")).to_be_hidden()
    expect(page.locator(".select:checked")).to_have_count(0)


def test_selected_images_are_deleted_and_come_back(gallery: Gallery, page: Page) -> None:
    boxes = page.locator(".card .select")
    boxes.first.check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(gallery.cards).to_have_count(2)
    expect(page.locator("#toast-text")).to_have_text("Deleted 2 images")
    page.get_by_role("button", name="Undo").click()
    expect(gallery.cards).to_have_count(4)
    boxes.first.check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#toast")).to_be_hidden(timeout=20 * SECONDS)
    page.reload()
    expect(gallery.cards).to_have_count(2)


def test_captions_are_copied_and_links_are_downloaded(gallery: Gallery, page: Page) -> None:
    first, caption = gallery.cards.first, gallery.captions.first.inner_text()
    name, image_id = first.locator(".name").inner_text(), first.get_attribute("data-id")
    page.locator(".card .select").first.check()
    page.get_by_role("button", name="Copy captions").click()
    expect(page.locator("#toast-text")).to_have_text("1 caption copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{name}\t{caption}"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download links").click()
    assert download.value.path().read_text() == f"{page.url}#/image/{image_id}\n"
    page.get_by_role("button", name="Select none").click()
    gallery.open(name)
    gallery.detail.get_by_role("button", name="Copy link").click()
    expect(page.locator("#toast-text")).to_have_text("Link copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    gallery.detail.get_by_role("button", name="Copy caption").click()
    expect(page.locator("#toast-text")).to_have_text("Caption copied")
    assert page.evaluate("navigator.clipboard.readText()") == caption

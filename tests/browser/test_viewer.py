"""The viewer of one image: its layout on each screen, its address, and its way through the list."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, accessibility_violations, only_root, photograph
from tests.browser.gallery import Gallery
from tests.browser.rules import layout_faults
from tests.browser.test_gallery import SCENES, stored_thumbnails
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = only_root
SIZES = [(390, 664), (375, 553), (360, 640), (683, 650), (667, 375), (320, 256), (1280, 900), (2560, 1440)]
PICTURES = Path("build/pages")


def test_nothing_is_covered_on_any_screen(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(photograph("rocket.jpg"), *SCENES)
    expect(page.locator(".upload")).to_have_count(0)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for selector in ("header", "main"):
            page.evaluate("scrollTo(0, 0)")
            assert layout_faults(page, selector) == [], (width, height)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=PICTURES / f"gallery-{width}x{height}.png")
        gallery.open("rocket.jpg")
        page.locator("#detail-image").evaluate("image => image.decode()")
        page.screenshot(path=PICTURES / f"viewer-{width}x{height}.png")
        assert layout_faults(page, "dialog") == [], (width, height)
        assert gallery.detail.bounding_box() == {"x": 0, "y": 0, "width": width, "height": height}
        gallery.detail.get_by_role("button", name="Close").click()
        expect(gallery.detail).to_be_hidden()


@pytest.mark.parametrize("look", ["light", "dark", "forced"])
def test_the_viewer_is_accessible(site: Site, page: Page, look: str) -> None:
    page.emulate_media(
        color_scheme="dark" if look == "dark" else "light", forced_colors="active" if look == "forced" else "none"
    )
    gallery = Gallery(page, site.url)
    gallery.add(photograph("rocket.jpg"))
    gallery.open("rocket.jpg")
    assert accessibility_violations(page) == []


def test_the_thumbnail_opens(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    gallery.open("scene-01.png")
    with page.context.expect_page() as opened:
        gallery.detail.get_by_role("link", name="Open thumbnail").click()
    opened.value.wait_for_load_state()
    assert "/thumbnails/medium.png" in opened.value.url


def test_an_open_viewer_renews_its_link_before_it_expires(site: Site, page: Page) -> None:
    page.clock.install()
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    gallery.open("scene-01.png")
    link = gallery.detail.get_by_role("link", name="Open thumbnail")
    first = link.get_attribute("href") or ""
    page.wait_for_timeout(1100)  # a new URL has another second in it
    with page.expect_response(re.compile(r"/api/images/[\da-f-]+\?")):
        page.clock.fast_forward("14:00")
    expect(link).not_to_have_attribute("href", first)


def test_neither_the_page_behind_nor_the_dialog_scrolls(site: Site, page: Page) -> None:
    page.set_viewport_size({"width": 800, "height": 420})  # too low for the list and for the facts
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    expect(page.locator("#uploads")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollHeight > innerHeight")
    gallery.open("scene-01.png")
    assert gallery.detail.evaluate("dialog => dialog.scrollHeight === dialog.clientHeight")
    y = page.evaluate("scrollY")
    page.mouse.move(790, 10)
    page.mouse.wheel(0, 200)
    page.locator(".facts").hover()
    page.mouse.wheel(0, 100)
    page.wait_for_function("() => document.querySelector('.facts').scrollTop > 0")
    assert page.evaluate("scrollY") == y


def test_back_closes_the_viewer_and_a_link_opens_it(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    gallery.open("scene-01.png")
    shared = page.url
    assert re.search(r"/#/image/[\da-f-]{36}$", shared)
    page.go_back()
    expect(gallery.detail).to_be_hidden()
    assert page.url == f"{site.url}/"
    page.go_forward()
    expect(gallery.detail).to_contain_text("scene-01.png")
    page.reload()
    expect(gallery.detail).to_contain_text("scene-01.png")
    page.keyboard.press("Escape")
    expect(gallery.detail).to_be_hidden()
    expect(page).to_have_url(f"{site.url}/")
    page.goto("about:blank")
    page.goto(shared)
    expect(gallery.detail).to_contain_text("scene-01.png")
    gallery.detail.get_by_role("button", name="Close").click()
    expect(gallery.cards).to_have_count(2)
    expect(page).to_have_url(f"{site.url}/")


@pytest.mark.parametrize("expected_errors", [["status of 404"]])
def test_a_link_to_a_deleted_image_says_so(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/#/image/{IMAGE_ID}")
    expect(page.locator("#toast")).to_contain_text("This image does not exist, or it is deleted.")
    expect(page).to_have_url(f"{site.url}/")


def test_a_search_has_an_address(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    while not page.request.get(f"{site.url}/api/images?q=star").json().get("content"):
        page.wait_for_timeout(100)
    page.get_by_role("combobox").fill("yellow star")
    expect(gallery.cards).to_have_count(1)
    expect(page).to_have_url(f"{site.url}/#/search/yellow%20star")
    gallery.open("scene-01.png")
    page.reload()
    expect(gallery.detail).to_contain_text("scene-01.png")
    page.go_back()
    expect(gallery.detail).to_be_hidden()
    expect(page.get_by_role("combobox")).to_have_value("yellow star")
    expect(gallery.cards).to_have_count(1)
    page.go_back()
    expect(page.get_by_role("combobox")).to_have_value("")
    expect(gallery.cards).to_have_count(2)


def test_older_goes_on_past_the_loaded_cards(site: Site, page: Page) -> None:
    Gallery(page, site.url).add(SCENES[0])
    thumbnails = stored_thumbnails(page)
    for minutes in range(60):
        store_sample(
            replace(sample_image(minutes=minutes), original_name=f"image {minutes}.png", thumbnails=thumbnails)
        )
    gallery = Gallery(page, site.url)
    expect(gallery.cards).to_have_count(50)
    gallery.open("image 11.png")
    for minutes in (10, 9):
        gallery.detail.get_by_role("button", name="Older image").click()
        expect(gallery.detail.locator("#detail-name")).to_have_text(f"image {minutes}.png")


def test_a_swipe_shows_the_next_image(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    gallery.cards.first.get_by_role("button").click()
    first = gallery.detail.locator("#detail-name").inner_text()
    page.locator(".picture").evaluate(
        """(picture) => {
            const at = (x) => [new Touch({identifier: 1, target: picture, clientX: x, clientY: 200})];
            picture.dispatchEvent(new TouchEvent("touchstart", {touches: at(300), changedTouches: at(300)}));
            picture.dispatchEvent(new TouchEvent("touchend", {touches: [], changedTouches: at(150)}));
        }"""
    )
    expect(gallery.detail.locator("#detail-name")).not_to_have_text(first)


def test_a_file_without_a_date_was_not_taken_at_its_upload(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0], photograph("astronaut.jpg"))
    gallery.open("scene-01.png")
    expect(gallery.detail).to_contain_text("Uploaded")
    expect(gallery.detail).not_to_contain_text("Taken")


def test_newer_leads_back_and_more_shows_all_facts(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    gallery.add(SCENES[1])
    gallery.open("scene-01.png")
    gallery.detail.get_by_role("button", name="Newer image").click()
    expect(gallery.detail.locator("#detail-name")).to_have_text("scene-02.png")
    expect(gallery.detail.get_by_text("Image id")).to_be_hidden()
    gallery.detail.get_by_text("More", exact=True).click()
    expect(gallery.detail.get_by_text("Image id")).to_be_visible()

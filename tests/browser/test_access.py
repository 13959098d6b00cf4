"""The gallery with only the keyboard, on a phone, in the dark, and without a shift of its layout."""

import time
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, accessibility_violations, only_root
from tests.browser.gallery import Gallery
from tests.browser.test_gallery import PHOTOGRAPHS, SCENES, stored_thumbnails
from tools.local.sample_images import sample_image, store_sample

pytestmark = only_root
_FOCUS = """() => {
    const element = document.activeElement;
    if (element === document.body) return "";
    return element.id || element.querySelector("img")?.alt || element.textContent.trim();
}"""


def tab_to(page: Page, text: str) -> None:
    """Press Tab until the element with this text, id or alternative text has the focus."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if text in page.evaluate(_FOCUS):
            return
    pytest.fail(f"Tab does not lead to {text}")


def test_everything_works_with_the_keyboard_alone(site: Site, page: Page) -> None:
    # Chromium reports file choosers from now on. Otherwise the key could arrive before Chromium begins to report them.
    page.on("filechooser", lambda _: None)
    gallery = Gallery(page, site.url)
    page.keyboard.press("Tab")
    assert page.evaluate(_FOCUS) == "Skip to the images"
    tab_to(page, "files")
    assert page.get_by_text("Add images").evaluate("label => getComputedStyle(label).outlineStyle") == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(SCENES)
    expect(gallery.cards).to_have_count(2, timeout=20_000)
    tab_to(page, "left of")
    page.keyboard.press("Enter")
    expect(gallery.detail).to_be_visible()
    expect(gallery.detail.locator("#detail-caption")).to_be_focused()
    tab_to(page, "delete")
    page.keyboard.press("Enter")
    expect(gallery.cards).to_have_count(1)
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(gallery.cards).to_have_count(2)
    assert "left of" in page.evaluate(_FOCUS)


def test_the_first_link_skips_to_the_images(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    page.reload()
    expect(gallery.cards).to_have_count(1)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#images")).to_be_focused()
    expect(page).to_have_url(f"{site.url}/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(site: Site, page: Page, scheme: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    gallery = Gallery(page, site.url)
    gallery.add(*PHOTOGRAPHS)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    assert accessibility_violations(page) == []
    gallery.open("coffee.jpg")
    assert gallery.detail.evaluate("dialog => dialog.scrollWidth") <= 360
    assert accessibility_violations(page) == []


def test_fifty_images_appear_without_a_shift(site: Site, page: Page, browser: Browser) -> None:
    Gallery(page, site.url).add(SCENES[0])
    thumbnails = stored_thumbnails(page)
    for minutes in range(49):
        store_sample(replace(sample_image(minutes=minutes), thumbnails=thumbnails))
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        fresh = context.new_page()
        fresh.add_init_script(
            """window.shifts = [];
               new PerformanceObserver((list) => list.getEntries().forEach((entry) => shifts.push(
                 `${entry.value}: ${entry.sources.map(({node}) => node?.id || node?.className || node?.tagName)}`
               ))).observe({type: "layout-shift", buffered: true})"""
        )
        start = time.monotonic()
        gallery = Gallery(fresh, site.url)
        fresh.locator(".card img").first.evaluate("image => image.decode()")
        first = time.monotonic() - start
        expect(gallery.cards).to_have_count(50)
        fresh.evaluate(
            """() => Promise.all([...document.querySelectorAll(".card img")].map((image) => {
                image.loading = "eager";
                return image.decode();
            }))"""
        )
        everything = time.monotonic() - start
        fresh.wait_for_timeout(500)
        assert fresh.evaluate("shifts") == []
        weight = len(fresh.request.get(f"{site.url}/").body())
    assert weight < 60_000
    print(f"\npage {weight / 1000:.0f} kB; first thumbnail {first:.2f} s, all 50 {everything:.2f} s")  # noqa: T201 - a figure

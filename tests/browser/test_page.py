"""The page as time passes: dates, deletions, connections, and images that others add."""

from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, only_root
from tests.browser.gallery import SECONDS, Gallery, file
from tests.browser.test_gallery import SAMPLES, SCENES, stored_thumbnails
from tests.pictures import scene_png
from tools.local.sample_images import sample_image, store_sample

pytestmark = only_root


@pytest.mark.parametrize("expected_errors", [["ERR_FAILED", "ERR_CONNECTION_REFUSED"]])
def test_thumbnails_are_loaded_when_the_connection_is_back(site: Site, page: Page) -> None:
    Gallery(page, site.url).add(SCENES[0])
    thumbnails, image = "**/thumbnails/medium.png?*", "**/api/images/check?*"
    page.route(thumbnails, lambda route: route.abort())
    page.route(image, lambda route: route.abort())
    Gallery(page, site.url)
    picture = page.locator(".card img")
    expect(picture).to_have_class("broken")
    expect(picture).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    page.unroute(thumbnails)
    page.unroute(image)
    expect(picture).not_to_have_class("broken")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_ages_grow_while_the_page_is_open(site: Site, page: Page) -> None:
    page.clock.install()
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    expect(page.locator(".card time")).to_have_text("now")
    page.clock.fast_forward("03:01:00")
    expect(page.locator(".card time")).to_have_text("3 hours ago")


def test_dates_are_written_as_in_the_country_of_the_reader(site: Site, browser: Browser) -> None:
    store_sample(sample_image())
    with browser.new_context(locale="de-DE", timezone_id="Europe/Berlin") as context:
        gallery = Gallery(context.new_page(), site.url)
        expect(gallery.page.locator(".card time")).to_have_attribute("title", "16.03.2025, 13:00")
        expect(gallery.page.locator(".card time")).to_contain_text("vor")


def test_a_deletion_waits_while_the_pointer_is_over_its_button(site: Site, page: Page) -> None:
    page.clock.install()
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    deletions: list[str] = []
    page.on("request", lambda request: deletions.append(request.url) if request.method == "DELETE" else None)
    gallery.delete("scene-01.png")
    page.get_by_role("button", name="Undo").hover()
    page.clock.fast_forward("01:00")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert deletions == []
    page.mouse.move(5, 5)
    with page.expect_request(lambda request: request.method == "DELETE"):
        page.clock.fast_forward(7000)


def test_images_of_others_appear_without_a_reload(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    page.request.post(f"{site.url}/api/images", multipart={"file": file("other.png", scene_png())})
    expect(page.locator(".card .name")).to_have_text(["other.png", "scene-01.png"], timeout=30 * SECONDS)


def test_a_scrolled_page_does_not_move_when_images_are_added(site: Site, page: Page) -> None:
    Gallery(page, site.url).add(SCENES[0])
    thumbnails = stored_thumbnails(page)
    for minutes in range(49):
        store_sample(replace(sample_image(minutes=minutes), thumbnails=thumbnails))
    gallery = Gallery(page, site.url)
    expect(gallery.cards).to_have_count(50)
    expect(gallery.statistic("success")).to_have_text("50")
    page.keyboard.press("End")
    page.request.post(f"{site.url}/api/images", multipart={"file": file("other.png", scene_png())})
    page.get_by_role("button", name="Show 1 new image").click(timeout=30 * SECONDS)
    expect(page.locator(".card .name").first).to_have_text("other.png")
    assert page.evaluate("scrollY") == 0


def test_ten_thousand_images_are_a_few_hundred_cards(site: Site, page: Page) -> None:
    picture = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    images = [
        {
            "image_id": f"{number:08}-7fff-45b2-93cf-7a534fe39821",
            "original_name": f"image {number}.png",
            "processed_at": f"2026-01-01T00:00:00.{number:06}+00:00",
            "time_taken": 0.1,
            "metadata": {"width": 1, "height": 1, "format": "PNG", "size_bytes": 1},
            "thumbnails": {"small": picture, "medium": picture},
            "caption": f"picture {number}",
        }
        for number in reversed(range(10_000))
    ]
    content = {image["image_id"]: {"image_status": "success", "data": image} for image in images}
    page.route("**/api/images?*", lambda route: route.fulfill(json={"content": content}))
    gallery = Gallery(page, site.url)
    heights = []
    for share in (0, 0.5, 1, 0.25, 0):
        page.evaluate("share => scrollTo(0, share * (document.documentElement.scrollHeight - innerHeight))", share)
        page.wait_for_timeout(300)
        assert gallery.cards.count() <= 320
        heights.append(page.evaluate("document.documentElement.scrollHeight"))
        assert page.evaluate("document.elementFromPoint(300, 450).closest('.card, .grid') !== null")
        shown = page.evaluate(
            """() => [...document.querySelectorAll(".card")].filter((card) => {
                const box = card.getBoundingClientRect();
                return box.top < innerHeight && box.bottom > 0;
            }).length"""
        )
        assert shown >= 10
    assert max(heights) - min(heights) < 50  # pixels of 700,000: a browser rounds heights to 1/64 pixel
    expect(page.locator(".card .name").first).to_have_text("image 9999.png")
    print(f"\n{page.evaluate('document.querySelectorAll(`*`).length')} nodes at 10,000 images")  # noqa: T201 - a figure


@pytest.mark.parametrize("expected_errors", [["status of 403", "status of 404"]])
def test_many_expired_thumbnails_are_renewed_with_one_request(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*sorted(SAMPLES.glob("scene-0[1-4].png")))
    listed = page.request.get(f"{site.url}/api/images?details=caption,placeholder")
    gone = gallery.cards.first.get_attribute("data-id")
    page.request.delete(f"{site.url}/api/images/{gone}")
    old = listed.text().replace("X-Amz-Signature=", "X-Amz-Signature=0")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/images/" in request.url else None)
    page.route("**/api/images?*", lambda route: route.fulfill(body=old, content_type="application/json"))
    Gallery(page, site.url)
    expect(gallery.cards).to_have_count(3)
    for picture in page.locator(".card img").all():
        expect(picture).to_have_js_property("complete", value=True)
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert len(asked) == 1

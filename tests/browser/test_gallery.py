"""Adding, looking at and deleting images on the gallery page."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from image_pipeline.errors import ACCEPTED_FILES
from image_pipeline.models import STANDARD_SIZES, ThumbnailSize
from tests.browser.conftest import Site, accessibility_violations, only_root, photograph
from tests.browser.gallery import SECONDS, Gallery, file
from tests.pictures import encode, scene_png
from tools.local.sample_images import sample_image, store_sample

SAMPLES = Path("tools/exporter/samples")
PHOTOGRAPHS = [photograph(name) for name in ("astronaut.jpg", "chelsea.png", "coffee.jpg")]
SCENES = [SAMPLES / "scene-01.png", SAMPLES / "scene-02.png"]
HOSTILE = '"><img src=x onerror=alert(1)><svg onload=alert(2)>&lt;b&gt;.png'


def large_png() -> bytes:
    """Return a PNG of about 20 MB, which is too large for a form."""
    return encode(Image.frombytes("RGB", (2600, 2600), os.urandom(3 * 2600 * 2600)), "PNG")


def test_photographs_and_scenes_become_cards(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    expect(page.get_by_text("No images yet")).to_be_visible()
    assert accessibility_violations(page) == []
    gallery.add(*PHOTOGRAPHS, *SCENES)
    expect(page.get_by_text("No images yet")).to_be_hidden()
    expect(gallery.captions.filter(has_text="photograph")).to_have_count(3)
    expect(gallery.captions.filter(has_text="small yellow star left of a large blue triangle")).to_have_count(1)
    for image in page.locator(".card img").all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(gallery.statistic("success")).to_have_text("5")
    expect(page.locator("#demo")).to_contain_text("make serve MODEL=Salesforce/blip-image-captioning-base")
    assert accessibility_violations(page) == []
    shown = gallery.captions.all_inner_texts()
    page.reload()
    expect(gallery.cards).to_have_count(5)
    assert gallery.captions.all_inner_texts() == shown


@only_root
def test_a_late_response_does_not_change_the_order_of_the_cards(site: Site, page: Page) -> None:
    # The second file is sent when the first file is processed. The page gets the second response first.
    page.add_init_script(
        """const send = XMLHttpRequest.prototype.send;
           let isFirst = true, sendSecond, hearOfFirst;
           XMLHttpRequest.prototype.send = function (form) {
               const hear = this.onload;
               if (isFirst) {
                   isFirst = false;
                   this.onload = () => { hearOfFirst = hear; sendSecond(); };
                   send.call(this, form);
               } else {
                   this.onload = () => { hear(); setTimeout(hearOfFirst, 500); };
                   sendSecond = () => send.call(this, form);
               }
           };"""
    )
    Gallery(page, site.url).add(*SCENES)
    names = page.locator(".card .name")
    expect(names).to_have_text(["scene-02.png", "scene-01.png"])
    page.reload()
    expect(names).to_have_text(["scene-02.png", "scene-01.png"])


def test_a_file_of_20_megabytes_goes_straight_to_the_bucket_with_progress(site: Site, page: Page) -> None:
    content = large_png()
    assert 19_000_000 < len(content) < 22_000_000
    gallery = Gallery(page, site.url)
    states: list[str] = []

    def note(state: str) -> None:
        states.append(state)

    page.expose_function("noteState", note)
    page.evaluate(
        """new MutationObserver((changes) => changes.forEach(({target}) => noteState(target.textContent)))
           .observe(document.querySelector("#upload-list"), {subtree: true, childList: true})"""
    )
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    gallery.add(file("large.png", content))
    assert f"POST {site.url}/api/uploads" in sent
    assert not [line for line in sent if re.match(r"POST .*/api/images", line)]
    assert "Processing" in states
    assert [state for state in states if re.fullmatch(r"Sending [1-9]\d* %", state)]
    gallery.open("large.png")
    expect(gallery.detail).to_contain_text("2,600 \N{MULTIPLICATION SIGN} 2,600 pixels, 20 MB")


@only_root
def test_files_can_be_dropped_and_pasted(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    for number, event in enumerate(("drop", "paste"), 1):
        page.evaluate(
            """([event, bytes]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], `${event}.png`, {type: "image/png"}));
                const init = {bubbles: true, cancelable: true};
                dispatchEvent(event === "drop" ? new DragEvent(event, {...init, dataTransfer: transfer})
                                               : new ClipboardEvent(event, {...init, clipboardData: transfer}));
            }""",
            [event, list(scene_png())],
        )
        expect(gallery.cards).to_have_count(number, timeout=20 * SECONDS)


@only_root
def test_the_detail_view_shows_everything(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(photograph("rocket.jpg"), SCENES[0])
    gallery.open("rocket.jpg")
    details = gallery.detail
    expect(details.locator("#detail-caption")).to_have_text("a dark photograph in blue tones")
    for text in ("rocket.jpg", "640 \N{MULTIPLICATION SIGN} 427 pixels, 113 kB", "JPEG", "demo, revision 2, fp32"):
        expect(details).to_contain_text(text)
    expect(details.locator("dd", has_text=re.compile(r"^\d+ %$"))).to_be_visible()
    assert details.get_by_role("img").evaluate("image => image.naturalWidth") == 512
    assert accessibility_violations(page) == []
    page.keyboard.press("ArrowLeft" if details.get_by_label("Older image").is_disabled() else "ArrowRight")
    expect(details).to_contain_text("scene-01.png")
    page.keyboard.press("Escape")
    expect(details).to_be_hidden()
    expect(page.locator(".card", has_text="scene-01.png").get_by_role("button")).to_be_focused()


@only_root
def test_a_deletion_can_be_undone(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    gallery.delete("scene-01.png")
    expect(gallery.cards).to_have_count(1)
    assert accessibility_violations(page) == []
    page.get_by_role("button", name="Undo").click()
    expect(gallery.cards).to_have_count(2)
    page.reload()
    expect(gallery.cards).to_have_count(2)


@only_root
def test_a_deletion_happens_when_the_time_to_undo_it_is_over(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    with page.expect_response(lambda response: response.request.method == "DELETE", timeout=10 * SECONDS) as deletion:
        gallery.delete("scene-01.png")
    assert deletion.value.status == 200
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()
    page.reload()
    expect(gallery.cards).to_have_count(1)


@only_root
def test_a_deletion_happens_when_the_page_is_left(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    gallery.delete("scene-01.png")
    expect(page).to_have_url(f"{site.url}/")
    page.goto("about:blank")
    page.wait_for_timeout(SECONDS)
    assert Gallery(page, site.url).cards.count() == 1


def test_more_images_come_when_the_page_is_scrolled(site: Site, page: Page) -> None:
    Gallery(page, site.url).add(SCENES[0])
    thumbnails = stored_thumbnails(page)
    for minutes in range(149):
        record = replace(sample_image(minutes=minutes), original_name=f"image {minutes}.png", thumbnails=thumbnails)
        store_sample(record)
    gallery = Gallery(page, site.url)
    expect(gallery.cards).to_have_count(50)
    for count in (100, 150):
        page.keyboard.press("End")
        expect(gallery.cards).to_have_count(count, timeout=30 * SECONDS)
    names = page.locator(".card .name").all_inner_texts()
    assert names == ["scene-01.png", *[f"image {minutes}.png" for minutes in reversed(range(149))]]
    expect(page.get_by_role("button", name="Load more")).to_be_hidden()


def stored_thumbnails(page: Page) -> dict[ThumbnailSize, str]:
    """Return the S3 keys of the thumbnails of the only image on the page."""
    image_id = page.locator(".card").get_attribute("data-id")
    return {size: f"{image_id}/thumbnails/{size}.png" for size in STANDARD_SIZES}


@only_root
def test_hostile_names_stay_text(site: Site, page: Page) -> None:
    page.on("dialog", lambda _: pytest.fail("a script of the file name ran"))
    gallery = Gallery(page, site.url)
    gallery.add(file(HOSTILE, scene_png()))
    name = page.locator(".card .name").inner_text()
    assert "onerror=alert(1)" in name
    gallery.open("onerror=alert(1)")
    expect(gallery.detail.locator("#detail-name")).to_have_text(name)
    assert page.locator("img[src='x']").count() == 0


@only_root
@pytest.mark.parametrize("expected_errors", [["status of 413"]])
def test_each_refused_file_says_why(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.choose(file("text.png", b"not an image"))
    expect(gallery.failures).to_contain_text(f"This file is not {ACCEPTED_FILES}. Please save it in one of these")
    expect(gallery.failures.get_by_role("button", name="Try again")).to_be_hidden()
    gallery.choose(file("huge.png", encode(Image.new("1", (11_000, 10_001)), "PNG")))
    expect(gallery.failures).to_have_count(2)
    # A direct upload accepts more pixels than a form, but this file has even more.
    expect(gallery.failures.last).to_contain_text("The image has more than 110,000,000 pixels.")
    expect(page.locator("#uploads-title")).to_have_text("2 failed")
    # The first file was refused before it was processed.
    expect(gallery.statistic("failure")).to_have_text("1")
    assert accessibility_violations(page) == []
    page.get_by_role("button", name="Dismiss failed").click()
    expect(page.locator("#uploads")).to_be_hidden()


@only_root
@pytest.mark.parametrize("expected_errors", [["status of 413"]])
def test_a_form_that_is_too_large_goes_straight_to_the_bucket(site: Site, page: Page) -> None:
    page.route(
        "**/api/images?*",
        lambda route: (
            route.fulfill(status=413, body="HTTP content length exceeded 10485760 bytes.")
            if route.request.method == "POST"
            else route.continue_()
        ),
    )
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    assert [url.partition("?")[0] for url in sent[:2]] == [f"{site.url}/api/images", f"{site.url}/api/uploads"]
    assert len(sent) == 3


@only_root
def test_a_file_above_the_limit_is_not_sent(site: Site, page: Page, tmp_path: Path) -> None:
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    gallery = Gallery(page, site.url)
    large = tmp_path / "large.jpg"
    with large.open("wb") as stream:
        stream.write(b"\xff\xd8\xff")
        stream.truncate(50_000_001)
    gallery.choose(large)
    expect(gallery.failures).to_contain_text("50,000,001 bytes. Please choose one of at most 50,000,000 bytes.")
    assert posted == []


@only_root
@pytest.mark.parametrize("expected_errors", [["ERR_CONNECTION_REFUSED"]])
def test_the_page_goes_on_when_the_server_is_back(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    with site.stopped():
        gallery.choose(SCENES[0])
        expect(page.locator(".upload")).to_contain_text("Waiting for the connection")
        expect(page.get_by_role("alert").first).to_contain_text("The API cannot be reached.")
    expect(page.get_by_role("alert").first).to_be_hidden()
    expect(gallery.cards).to_have_count(1, timeout=20 * SECONDS)


@only_root
@pytest.mark.parametrize("expected_errors", [["status of 503"]])
def test_a_list_that_fails_can_be_loaded_again(site: Site, page: Page) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=503, headers={"Retry-After": "0.1"}, json={"error": "The storage is busy."})

    page.route("**/api/images?*", refuse)
    page.goto(f"{site.url}/")
    expect(page.locator("#list-error")).to_contain_text("The storage is busy.", timeout=15 * SECONDS)
    assert accessibility_violations(page) == []
    page.unroute("**/api/images?*")
    expect(page.get_by_role("button", name="Load more")).to_be_hidden()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("No images yet")).to_be_visible()


@only_root
def test_the_dominant_colour_is_shown_until_the_thumbnail_is_loaded(site: Site, page: Page) -> None:
    Gallery(page, site.url).add(SCENES[0])
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/thumbnails/medium.png?*", hold)
    with page.expect_request("**/thumbnails/medium.png?*"):
        page.reload()
    image = page.locator(".card img")
    expect(image).to_have_css("background-color", "rgb(250, 255, 255)")
    held[0].continue_()
    expect(image).to_have_css("background-color", "rgba(0, 0, 0, 0)")


@only_root
def test_an_expired_thumbnail_gets_a_new_url(site: Site, page: Page) -> None:
    Gallery(page, site.url).add(SCENES[0])
    asked: list[str] = []

    def expire(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(body="expired", content_type="text/plain")
        else:
            route.continue_()

    page.route("**/thumbnails/medium.png?*", expire)
    Gallery(page, site.url)
    page.wait_for_timeout(SECONDS)
    assert len(asked) == 2
    assert page.locator(".card img").evaluate("image => image.naturalWidth") > 0


def test_a_search_shows_what_matches_all_words(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*PHOTOGRAPHS, *SCENES)
    # The index follows with a delay.
    for words, count in (("jpg", 2), ("png", 3)):
        while len(page.request.get(f"{site.url}/api/images?q={words}").json().get("content", [])) < count:
            page.wait_for_timeout(100)
    search = page.get_by_role("combobox", name="Search captions and file names")
    for words, names in (
        ("photographs", ["astronaut.jpg", "chelsea.png", "coffee.jpg"]),
        ("photograph coffee", ["coffee.jpg"]),
        ("yellow star", ["scene-01.png"]),
    ):
        search.fill(words)
        expect(gallery.cards).to_have_count(len(names))
        for name in names:
            expect(page.locator(".card .name", has_text=name)).to_be_visible()
    search.fill("zebra")
    expect(page.get_by_text("No image matches")).to_be_visible()
    assert accessibility_violations(page) == []
    search.fill("")
    expect(gallery.cards).to_have_count(5)


@only_root
@pytest.mark.parametrize("expected_errors", [["status of 403"]])
def test_a_deletion_that_fails_says_so_and_shows_the_image_again(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    refusal = {"error": "You may not delete images."}
    page.route(
        "**/api/images/*",
        lambda route: route.fulfill(status=403, json=refusal) if route.request.method == "DELETE" else None,
    )
    gallery.delete("scene-01.png")
    expect(page.locator("#toast")).to_contain_text("scene-01.png is not deleted. You may not delete images.")
    expect(gallery.cards).to_have_count(1)
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()
    expect(page.locator("#toast")).to_be_hidden()


@only_root
def test_a_deleted_image_does_not_come_back_with_a_new_search(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    gallery.delete("scene-01.png")
    expect(gallery.cards).to_have_count(1)
    with page.expect_response(lambda response: "q=the" in response.url) as found:
        page.get_by_role("combobox").fill("the")  # finds everything
    assert len(found.value.json()["content"]) == 2
    expect(page.locator("#images")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".card .name")).to_have_text(["scene-02.png"])
    expect(page.get_by_role("button", name="Undo")).to_be_hidden(timeout=20 * SECONDS)
    expect(page.locator(".card .name")).to_have_text(["scene-02.png"])


def test_the_notice_stays_hidden_and_the_name_leads_to_the_start(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    page.get_by_role("button", name="Hide this notice").click()
    page.get_by_role("combobox").fill("nothing")
    expect(page.locator("#empty-title")).to_be_visible()
    page.get_by_role("link", name="Gallery").click()
    expect(gallery.cards).to_have_count(1)
    expect(page).to_have_url(f"{site.url}/")
    expect(page.locator("#demo")).to_be_hidden()

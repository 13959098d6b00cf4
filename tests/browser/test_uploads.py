"""The upload list: what it takes, what it refuses and why, and how it survives lost connections."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Dialog, Page, Route, expect

from image_pipeline.errors import ACCEPTED_FILES
from tests.browser.conftest import Site, accessibility_violations, only_root
from tests.browser.gallery import SECONDS, Gallery, file
from tests.browser.test_gallery import SAMPLES, SCENES
from tests.pictures import encode, scene_png

pytestmark = only_root
FORM = "**/api/images?*"
HELD = [file(f"held {number}.png", scene_png()) for number in range(5)]


def of_posts(handle: Callable[[Route], None]) -> Callable[[Route], None]:
    """Return a handler that lets all other requests through."""
    return lambda route: handle(route) if route.request.method == "POST" else route.fallback()


def hold(_: Route) -> None:
    """Let the request wait for ever."""


def count_of_images(page: Page, site: Site) -> int:
    return len(page.request.get(f"{site.url}/api/images").json().get("content", {}))


def lose_first_response(page: Page, url: str | re.Pattern[str]) -> None:
    """Let the first POST arrive, and lose its response."""
    lost: list[str] = []

    def lose(route: Route) -> None:
        if lost:
            route.fallback()
            return
        lost.append(route.request.url)
        route.fetch()
        route.abort()

    page.route(url, of_posts(lose))


@pytest.mark.parametrize("expected_errors", [["ERR_CONNECTION_REFUSED"]])
def test_all_files_of_a_batch_go_on_after_a_lost_connection(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    with site.stopped():
        gallery.choose(*sorted(SAMPLES.glob("scene-0[1-4].png")))
        expect(page.get_by_role("alert").first).to_contain_text("The API cannot be reached.")
        expect(page.locator("#uploads-title")).to_have_text("0 of 4 uploaded")
    expect(gallery.cards).to_have_count(4, timeout=40 * SECONDS)
    expect(page.locator("#uploads")).to_be_hidden()


@pytest.mark.parametrize("expected_errors", [["ERR_FAILED"]])
def test_a_form_whose_response_is_lost_makes_one_image(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    lose_first_response(page, FORM)
    gallery.add(SCENES[0])
    assert count_of_images(page, site) == 1


@pytest.mark.parametrize("expected_errors", [["ERR_FAILED", "status of 413"]])
def test_a_direct_upload_whose_response_is_lost_makes_one_image(site: Site, page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    gallery = Gallery(page, site.url)
    page.route(FORM, of_posts(lambda route: route.fulfill(status=413)))
    lose_first_response(page, re.compile(r":\d+/(?!api/)"))
    gallery.add(SCENES[0])
    assert count_of_images(page, site) == 1
    assert len([url for url in sent if url.endswith("/api/uploads")]) == 1


@pytest.mark.parametrize("expected_errors", [["ERR_FAILED"]])
def test_a_file_that_always_loses_its_connection_fails_in_the_end(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    page.route(FORM, of_posts(lambda route: route.abort()))
    gallery.choose(SCENES[0])
    expect(gallery.failures).to_contain_text("It was tried 4 times.", timeout=30 * SECONDS)
    page.unroute(FORM)
    gallery.failures.get_by_role("button", name="Try again").click()
    expect(gallery.cards).to_have_count(1)


@pytest.mark.parametrize("expected_errors", [["status of 503"]])
def test_all_failed_files_are_tried_again_with_one_button(site: Site, page: Page) -> None:
    busy = {"error": "The storage is busy."}
    page.route(FORM, of_posts(lambda route: route.fulfill(status=503, headers={"Retry-After": "0.1"}, json=busy)))
    gallery = Gallery(page, site.url)
    gallery.choose(*SCENES)
    gallery.choose(file("text.png", b"not an image"))
    expect(page.locator("#uploads-title")).to_have_text("3 failed")
    assert accessibility_violations(page) == []
    page.unroute(FORM)
    page.get_by_role("button", name="Try all again").click()
    expect(gallery.cards).to_have_count(2)
    expect(page.locator("#uploads-title")).to_have_text("2 of 2 uploaded, 1 failed")


@pytest.mark.parametrize("expected_errors", [["status of 429"]])
@pytest.mark.parametrize("headers", [{}, {"Retry-After": "7200"}], ids=["images", "uploads of a day"])
def test_a_limit_that_lasts_is_told_at_once(site: Site, page: Page, headers: dict[str, str]) -> None:
    limit = {"error": "You have reached the limit."}
    page.route(FORM, of_posts(lambda route: route.fulfill(status=429, headers=headers, json=limit)))
    gallery = Gallery(page, site.url)
    gallery.choose(SCENES[0])
    expect(gallery.failures).to_contain_text("You have reached the limit.")
    page.unroute(FORM)
    gallery.failures.get_by_role("button", name="Try again").click()
    expect(gallery.cards).to_have_count(1)


def test_uploads_can_be_cancelled_and_minimised(site: Site, page: Page) -> None:
    page.route(FORM, of_posts(hold))
    gallery = Gallery(page, site.url)
    gallery.choose(*HELD)
    title = page.locator("#uploads-title")
    expect(title).to_have_text("0 of 5 uploaded")
    assert accessibility_violations(page) == []
    page.get_by_role("button", name="Cancel held 4.png").click()
    expect(title).to_have_text("0 of 4 uploaded")
    page.get_by_role("button", name="Details").click()
    expect(page.locator("#upload-list")).to_be_hidden()
    expect(title).to_be_visible()
    page.get_by_role("button", name="Details").click()
    page.get_by_role("button", name="Cancel all").click()
    expect(page.locator(".upload")).to_have_count(0)
    expect(page.locator("#uploads")).to_be_hidden()
    page.unroute(FORM)
    gallery.add(SCENES[0])
    assert count_of_images(page, site) == 1


def test_a_page_with_unfinished_uploads_asks_before_it_is_left_and_names_them(site: Site, page: Page) -> None:
    page.route(FORM, of_posts(hold))
    gallery = Gallery(page, site.url)
    gallery.choose(*HELD[:2])
    page.locator("#uploads-title").click()  # browsers only ask after the page was used
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    page.reload()
    assert asked == ["beforeunload"]
    expect(gallery.failures).to_have_count(2)
    expect(gallery.failures.first).to_contain_text("held 0.png")
    expect(gallery.failures.first).to_contain_text("The page was left before this file was uploaded.")
    page.get_by_role("button", name="Dismiss failed").click()
    page.reload()
    expect(page.locator("#uploads")).to_be_hidden()
    assert asked == ["beforeunload"]


def test_a_dropped_folder_is_read(site: Site, page: Page, tmp_path: Path) -> None:
    inner = tmp_path / "holiday" / "day 1"
    inner.mkdir(parents=True)
    (inner / "a.png").write_bytes(scene_png())
    (inner.parent / "b.png").write_bytes(SCENES[0].read_bytes())
    (inner.parent / "notes.txt").write_text("not an image")
    (inner.parent / ".hidden").write_text("of the system")
    gallery = Gallery(page, site.url)
    session = page.context.new_cdp_session(page)
    dragged = {"items": [], "files": [str(inner.parent)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": dragged})
        if kind == "dragOver":
            expect(page.get_by_text("Drop the files to add them")).to_be_visible()
    expect(gallery.cards).to_have_count(2)
    expect(page.locator("#toast")).to_contain_text("1 file left out")
    expect(gallery.failures).to_have_count(0)
    expect(page.get_by_text("Drop the files to add them")).to_be_hidden()


@pytest.mark.parametrize(("text", "count"), [("cell A1\tcell B1", 0), ("pasted.png", 1), ("", 1)])
def test_the_picture_of_pasted_text_is_not_uploaded(site: Site, page: Page, text: str, count: int) -> None:
    gallery = Gallery(page, site.url)
    page.get_by_role("combobox").evaluate(
        """(box, [text, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "pasted.png", {type: "image/png"}));
            if (text) transfer.setData("text/plain", text);
            box.dispatchEvent(new ClipboardEvent("paste", {bubbles: true, cancelable: true, clipboardData: transfer}));
        }""",
        [text, list(scene_png())],
    )
    if count:
        expect(gallery.cards).to_have_count(count)
    else:
        page.wait_for_timeout(500)
        expect(page.locator(".upload")).to_have_count(0)


@pytest.mark.parametrize(
    ("name", "kind", "head", "size"),
    [
        ("IMG_1.HEIC", "HEIC", b"\0\0\0\x18ftypheic", 5_000_000),
        ("clip.mp4", "MP4", b"\0\0\0\x18ftypisom", 60_000_000),
        ("notes.md", "MD", b"# Notes", 7),
    ],
)
def test_a_file_of_another_format_is_refused_by_its_name(  # noqa: PLR0913 - fixtures and one row
    site: Site, page: Page, tmp_path: Path, name: str, kind: str, head: bytes, size: int
) -> None:
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    gallery = Gallery(page, site.url)
    large = tmp_path / name
    with large.open("wb") as stream:
        stream.write(head)
        stream.truncate(size)
    gallery.choose(large)
    expect(gallery.failures).to_contain_text(f"This file is {kind}, not {ACCEPTED_FILES}.")
    expect(gallery.failures.get_by_role("button", name="Try again")).to_be_hidden()
    assert posted == []


@pytest.mark.parametrize("media_type", ["", "image/x-unknown"])
def test_a_large_png_with_another_type_is_taken(site: Site, page: Page, media_type: str) -> None:
    content = encode(Image.frombytes("RGB", (1400, 1400), os.urandom(3 * 1400 * 1400)), "PNG")
    assert len(content) > 4_500_000
    gallery = Gallery(page, site.url)
    gallery.add(file("photo", content, media_type))


def test_an_upload_that_fails_is_seen_in_the_viewer(site: Site, page: Page) -> None:
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    gallery.open("scene-01.png")
    gallery.choose(file("text.png", b"not an image"))
    page.get_by_role("button", name="Dismiss failed").click()
    expect(page.locator("#uploads")).to_be_hidden()
    expect(gallery.detail).to_be_visible()

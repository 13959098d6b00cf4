"""The page with the colours of the reader, without JavaScript, and with uploads on a phone."""

import io

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Site, accessibility_violations, only_root
from tests.browser.gallery import Gallery, file
from tests.browser.rules import layout_faults
from tests.browser.test_gallery import SCENES
from tests.browser.test_uploads import FORM, HELD, hold, of_posts
from tests.browser.test_viewer import PICTURES, SIZES

pytestmark = only_root


def outline(element: Locator) -> str:
    found: str = element.evaluate("""element => {
        const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element);
        return `${outlineStyle} ${outlineWidth} ${outlineColor}`;
    }""")
    return found


@pytest.fixture
def forced(site: Site, page: Page) -> Gallery:
    """A gallery of two images in the colours of the reader."""
    page.emulate_media(forced_colors="active", color_scheme="dark")
    gallery = Gallery(page, site.url)
    gallery.add(*SCENES)
    expect(page.locator(".upload")).to_have_count(0)
    return gallery


def test_controls_have_edges_in_forced_colors(forced: Gallery, page: Page) -> None:
    assert accessibility_violations(page) == []
    forced.cards.first.get_by_role("button").click()
    page.screenshot(path=PICTURES / "viewer-forced.png")
    for control in page.locator(":is(button, .button):not(.open):visible").all():
        edge, fill, canvas = control.evaluate(
            """control => {
                const { borderTopColor, backgroundColor } = getComputedStyle(control);
                return [borderTopColor, backgroundColor, getComputedStyle(document.body).backgroundColor];
            }"""
        )
        assert edge != canvas or fill != canvas, control.inner_text()


def test_focus_and_selection_are_visible_in_forced_colors(forced: Gallery, page: Page) -> None:
    highlight = page.evaluate(
        """() => {
            document.body.style.outlineColor = "Highlight";
            return getComputedStyle(document.body).outlineColor;
        }"""
    )
    forced.cards.first.locator(".select").check()
    assert outline(page.locator(".card .frame").first) == f"solid 4px {highlight}"
    assert outline(page.locator(".card .frame").nth(1)).startswith("none")
    page.screenshot(path=PICTURES / "gallery-forced.png")
    page.keyboard.press("Escape")
    page.get_by_role("combobox").focus()
    assert outline(page.get_by_role("combobox")) == f"solid 3px {highlight}"
    page.keyboard.press("Tab")
    assert outline(page.locator("#add .button")) == f"solid 3px {highlight}"


def test_progress_is_visible_in_forced_colors(forced: Gallery, page: Page) -> None:
    page.route(FORM, of_posts(hold))
    forced.choose(*HELD)
    bar = page.locator("#uploads-progress")
    expect(bar).to_be_visible()
    bar.evaluate("bar => (bar.value = 0.5)")
    page.screenshot(path=PICTURES / "uploads-forced.png")
    picture = Image.open(io.BytesIO(bar.screenshot())).convert("L")
    middle = picture.crop((0, picture.height // 2, picture.width, picture.height // 2 + 1)).tobytes()
    done, rest = middle[len(middle) // 4], middle[3 * len(middle) // 4]
    assert abs(done - rest) > 60


def test_the_page_without_javascript_says_so(site: Site, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site.url}/")
        expect(page.locator("noscript p")).to_be_visible()
        expect(page.get_by_role("combobox")).to_be_hidden()
        expect(page.get_by_text("Add images")).to_be_hidden()
        page.screenshot(path=PICTURES / "no-javascript.png")


@pytest.mark.parametrize(("width", "height"), [size for size in SIZES if size[0] <= 720 and size[1] > 300])
def test_uploads_do_not_cover_the_viewer_on_a_phone(site: Site, page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    gallery = Gallery(page, site.url)
    gallery.add(SCENES[0])
    page.route(FORM, of_posts(hold))
    gallery.choose(*HELD, file("text.png", b"not an image"))
    expect(page.locator("#uploads")).to_be_visible()
    gallery.cards.first.get_by_role("button").press("Enter")
    expect(gallery.detail).to_be_visible()
    expect(page.locator("#uploads")).to_be_visible()
    assert layout_faults(page, "dialog .controls") == []
    assert layout_faults(page, "dialog .picture") == []
    assert layout_faults(page, "dialog .facts") == []
    assert layout_faults(page, "dialog #uploads .actions") == []
    page.screenshot(path=PICTURES / f"uploads-{width}x{height}.png")

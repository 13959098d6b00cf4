"""Take the pictures in docs/images: `python -m tools.docs.screenshots`. Needs Chromium."""

import shutil
import sys
from typing import Literal

from playwright.sync_api import Page, ViewportSize, sync_playwright

from tools.local import server
from tools.template import ROOT

IMAGES = ROOT / "docs" / "images"
PICTURES = [
    *sorted((ROOT / "tools" / "exporter" / "samples").glob("scene-0[1-6].png")),
    *sorted((ROOT / "tests" / "photos").glob("*.[jp][pn]g")),
]
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
_PAUSE_MS = 800


def main() -> int:
    """Run the command. Return its exit status."""
    executable = shutil.which("chromium")
    if executable is None:
        print("error: install Chromium, for example with: apt-get install chromium", file=sys.stderr)
        return 1
    IMAGES.mkdir(exist_ok=True)
    with server.run() as api, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, chromium_sandbox=False)
        page = browser.new_page(reduced_motion="reduce")
        page.goto(api.url)
        for picture in PICTURES:
            with page.expect_response(lambda response: response.request.method == "POST"):
                page.locator("#files").set_input_files(picture)
        page.reload()
        _take(page, "light", "gallery", DESKTOP)
        page.locator(".card", has_text="rocket.jpg").get_by_role("button").click()
        _take(page, "light", "detail", DESKTOP)
        page.keyboard.press("Escape")
        _take(page, "dark", "gallery-dark", DESKTOP)
        _take(page, "dark", "gallery-phone", PHONE)
        page.goto(f"{api.url}/docs")
        page.locator(".opblock").first.wait_for()
        _take(page, "light", "reference", DESKTOP)
        browser.close()
    return 0


def _take(page: Page, scheme: Literal["light", "dark"], name: str, size: ViewportSize) -> None:
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    page.wait_for_timeout(_PAUSE_MS)
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())

"""The gallery as a user sees it."""

from pathlib import Path

from playwright.sync_api import FilePayload, Locator, Page, expect

SECONDS = 1000


class Gallery:
    """The page on the screen. Its methods do what a user does with a pointer."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        page.goto(f"{url}/")
        expect(page.get_by_label("Loading images")).to_be_hidden()

    @property
    def cards(self) -> Locator:
        return self.page.locator(".card:visible")

    @property
    def captions(self) -> Locator:
        return self.page.locator(".card:visible .caption")

    @property
    def failures(self) -> Locator:
        return self.page.locator('.upload[data-state="failed"]')

    @property
    def detail(self) -> Locator:
        return self.page.get_by_role("dialog")

    def choose(self, *files: Path | FilePayload) -> None:
        """Choose files, and do not wait for them."""
        paths = [file for file in files if isinstance(file, Path)]
        payloads = [file for file in files if not isinstance(file, Path)]
        self.page.locator("#files").set_input_files(paths or payloads)

    def add(self, *files: Path | FilePayload) -> None:
        """Add files, and wait until all of them have a card."""
        count = self.cards.count() + len(files)
        self.choose(*files)
        expect(self.cards).to_have_count(count, timeout=60 * SECONDS)

    def open(self, name: str) -> None:
        """Open the details of the image with this file name."""
        self.page.locator(".card", has_text=name).get_by_role("button").click()
        expect(self.detail).to_be_visible()

    def delete(self, name: str) -> None:
        """Delete the image with this file name. It is still possible to undo that."""
        self.open(name)
        self.detail.get_by_role("button", name="Delete image").click()

    def statistic(self, name: str) -> Locator:
        return self.page.locator(f'[data-value="{name}"]')


def file(name: str, content: bytes, media_type: str = "image/png") -> FilePayload:
    return {"name": name, "mimeType": media_type, "buffer": content}

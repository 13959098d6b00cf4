"""Which controls of the gallery the tests use.

After the tests, `python -m tests.browser.controls` fails if none of them used a control.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page

PAGE = Path("functions/show_page/gallery/page.html")
USED = Path("build/controls")
_TAGS = ("a", "button", "input", "summary")
_PREFIX = "control used: "
_NOTE_USE = f"""for (const type of ["click", "input"]) {{
    addEventListener(type, ({{target}}) => {{
        const control = target.closest("{", ".join(_TAGS)}");
        if (control) console.debug("{_PREFIX}" + (control.id || control.className || control.localName));
    }}, true);
}}"""


class _Controls(HTMLParser):
    """Collects the id, the class or the tag of each control."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _TAGS:
            found = dict(attrs)
            self.names.add(found.get("id") or found.get("class") or tag)


def note_use(page: Page) -> None:
    """Create a file for each control that is used on this page."""
    USED.mkdir(parents=True, exist_ok=True)

    def note(message: ConsoleMessage) -> None:
        if message.text.startswith(_PREFIX):
            (USED / message.text.removeprefix(_PREFIX)).touch()

    page.on("console", note)
    page.add_init_script(_NOTE_USE)


if __name__ == "__main__":
    listed = _Controls()
    listed.feed(PAGE.read_text())
    unused = listed.names - {path.name for path in USED.iterdir()}
    sys.exit(f"No test uses these controls of the gallery: {', '.join(sorted(unused))}" if unused else None)

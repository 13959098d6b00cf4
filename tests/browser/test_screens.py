"""What the page looks like in three engines, on each screen, light, dark, and in forced colours.

The pictures are in build/engines. `make test-browser ENGINES=all` takes all of them, and otherwise a part.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.browser import engines
from tests.browser.conftest import Site, photograph, running_site
from tests.browser.rules import accessibility_violations, layout_faults
from tests.browser.test_gallery import SCENES
from tests.browser.webdriver import Window

ALL_SIZES = [(320, 256), (360, 640), (390, 664), (667, 375), (1280, 900), (2560, 1440)]
SIZES = {"light": [(320, 256), (390, 664), (1280, 900)], "dark": [(390, 664)], "forced": [(390, 664)]}
if os.environ.get("ENGINES") == "all":
    SIZES = dict.fromkeys(SIZES, ALL_SIZES)
PICTURES = Path("build/engines")
TEXT = Path("README.md")  # a file that is not an image


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_site() as running:
        for file in (*SCENES, photograph("rocket.jpg")):
            url = f"{running.url}/api/images"
            requests.post(url, files={"file": (file.name, file.read_bytes())}).raise_for_status()
        yield running


def show_viewer(window: Window) -> None:
    window.click(".card .open")
    window.expect_count("#detail", 1)
    window.run("return document.querySelector('#detail-image').decode()")


def show_selection(window: Window) -> None:
    window.click(".card .select")
    window.expect_count("#selection", 1)


def show_uploads(window: Window) -> None:
    window.choose(TEXT)
    window.expect_count(".upload[data-state=failed]", 1)


def show_toast(window: Window) -> None:
    window.click(".card .select")
    window.click("#delete-selected")
    window.expect_count("#undo", 1)
    # The time to undo does not end while the pointer is over the message.
    window.run("document.querySelector('#toast').dispatchEvent(new PointerEvent('pointerenter'))")


# Each state of the page: how to come to it, what to look at, and how to leave it.
STATES: dict[str, tuple[Callable[[Window], None] | None, list[str], str | None]] = {
    "gallery": (None, ["header", "main"], None),
    "viewer": (show_viewer, ["#detail"], "#close"),
    "selection": (show_selection, ["header"], "#unselect"),
    "uploads": (show_uploads, ["#uploads"], "#clear"),
    "toast": (show_toast, ["#toast"], "#undo"),
}


@pytest.mark.parametrize(
    ("engine", "look"), [(engine, look) for engine, looks in engines.LOOKS.items() for look in looks]
)
def test_nothing_is_covered_small_or_inaccessible(site: Site, engine: str, look: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    faults = []
    with engines.running(engine, look) as window:
        window.resize(1280, 900)
        window.open(f"{site.url}/")
        window.expect_count(".card", 3)
        for width, height in SIZES[look]:
            window.resize(width, height)
            for state, (show, selectors, leave) in STATES.items():
                window.run("scrollTo(0, 0)")  # away from under the header
                if show:
                    show(window)
                window.screenshot(PICTURES / f"{engine}-{look}-{width}x{height}-{state}.png")
                found = [fault for selector in selectors for fault in layout_faults(window, selector)]
                if state in {"gallery", "viewer"}:
                    found += accessibility_violations(window)
                faults += [f"{width}x{height} {state}: {fault}" for fault in found]
                if leave:
                    window.click(leave)
                    window.expect_count(leave, 0)
    assert faults == []


@pytest.mark.parametrize("engine", engines.LOOKS)
def test_the_rules_find_faults(engine: str) -> None:
    banner = "<div style='position:fixed;inset:0 0 auto;height:80px'></div>"
    with engines.running(engine) as window:
        window.resize(390, 664)
        window.open(f"data:text/html,<main><p>text</p><button style='width:10px'></button>{banner}</main>")
        assert {"P  text: covered by DIV ", "BUTTON  : small"} <= set(layout_faults(window, "main"))
        assert any(fault.startswith("button-name") for fault in accessibility_violations(window))


@pytest.mark.parametrize("engine", engines.LOOKS)
def test_errors_of_scripts_are_noted(engine: str) -> None:
    fail = "setTimeout(() => { throw Error('thrown'); }); Promise.reject(Error('refused'));"
    with engines.running(engine) as window:
        window.open(
            f"data:text/html,<button onclick=\"{fail} setTimeout(() => this.textContent = 'done', 100)\">fail</button>"
        )
        assert window.script_errors() == []
        window.click("button")
        window.expect_texts("button", "done")
        window.reload()
        noted = window.script_errors()
        assert sorted(error.rpartition(" ")[2] for error in noted) == ["refused", "thrown"]
        assert window.script_errors() == []

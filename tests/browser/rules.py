"""Rules that each page keeps in each engine, on each screen and in each look."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

from tests.browser.webdriver import Window

# Finds text and controls that another element covers, and controls that are small or cut at the right.
_LAYOUT_FAULTS = """(root) => {
    const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const isControl = (element) => element.matches("a, button, input, summary, label.button");
    const faults = [];
    const {clientWidth} = document.documentElement;  // without the scroll bar
    for (const element of root.querySelectorAll("*")) {
        if (!isControl(element) && !hasText(element) && element.tagName !== "IMG") continue;
        if (!element.checkVisibility() || element.closest(".skip, noscript")) continue;
        element.scrollIntoView({block: "center"});
        const box = element.getBoundingClientRect();
        if (box.width <= 1) continue;  // only for screen readers
        const name = `${element.tagName} ${element.id || element.className} ${element.textContent.slice(0, 20)}`;
        if (isControl(element) && Math.min(box.width, box.height) < 24) faults.push(`${name}: small`);
        if (isControl(element) && box.right > clientWidth) faults.push(`${name}: cut`);
        const points = [[0.5, 0.5], [0.1, 0.2], [0.9, 0.8]];
        for (const [right, down] of points) {
            const [x, y] = [box.left + right * box.width, box.top + down * box.height];
            if (x < 0 || y < 0 || x > innerWidth || y > innerHeight) { faults.push(`${name}: outside`); continue; }
            const top = document.elementFromPoint(x, y);
            const card = element.closest(".card");
            if (top && !top.contains(element) && !element.contains(top) && !(card && card.contains(top))) {
                faults.push(`${name}: covered by ${top.tagName} ${top.id || top.className}`);
            }
        }
    }
    root.querySelectorAll("*").forEach((element) => (element.scrollTop = 0));
    return faults;
}"""
_AXE_VIOLATIONS = """return axe.run().then(({violations}) => violations.flatMap(({id, nodes}) =>
    nodes.map(({html, failureSummary}) => `${id}: ${html.slice(0, 120)} ${failureSummary}`)))"""


def layout_faults(page: Page | Window, selector: str) -> list[str]:
    """Return what is wrong with the elements inside the selector, one line each."""
    if isinstance(page, Window):
        found = page.run(f"return ({_LAYOUT_FAULTS})(document.querySelector(arguments[0]))", selector)
    else:
        found = page.locator(selector).evaluate(_LAYOUT_FAULTS)
    return list(found)


def accessibility_violations(window: Window) -> list[str]:
    """Return what axe-core finds wrong on the page, one line each."""
    return list(window.run(f"{AXE_SCRIPT}; {_AXE_VIOLATIONS}"))

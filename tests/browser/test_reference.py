"""The reference of the API at /docs."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site


def test_the_reference_shows_and_calls_every_operation(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/docs")
    expect(page.locator(".opblock")).to_have_count(8)
    for tag in ("Images", "Direct uploads", "Statistics"):
        expect(page.get_by_role("link", name=tag, exact=True)).to_be_visible()
    statistics = page.locator("#operations-Statistics-getStats")
    statistics.get_by_role("button").first.click()
    statistics.get_by_role("button", name="Execute").click()
    expect(statistics.locator(".live-responses-table tbody .response-col_status")).to_contain_text("200")
    expect(statistics.locator(".request-url")).to_contain_text(f"{site.url}/api/stats")
    page.get_by_role("link", name="Gallery").click()
    expect(page.get_by_role("heading", name="Gallery")).to_be_visible()

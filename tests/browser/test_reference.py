"""The reference of the API at /docs."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, only_root


def test_the_reference_shows_and_calls_every_operation(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/")
    page.get_by_role("link", name="API reference").click()
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


@only_root
def test_a_phone_shows_the_reference_without_scrolling_sideways(site: Site, page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 667})
    page.goto(f"{site.url}/docs")
    expect(page.locator(".opblock")).to_have_count(8)
    for operation in page.locator(".opblock-summary-control").all():
        operation.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


@only_root
def test_an_upload_that_is_tried_out_has_no_prompt_unless_one_is_written(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/docs")
    upload = page.locator("#operations-Images-uploadImage")
    upload.get_by_role("button").first.click()
    expect(upload.locator("[data-property-name=prompt] input[type=text]")).to_have_value("")

"""The page of docs/api.md works in a browser, on another origin than the API."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from werkzeug import Response
from werkzeug.serving import make_server

from tests.browser.conftest import photograph, running_site
from tests.browser.engines import HOST
from tools.local.request_handler import QuietRequestHandler, serving

[EXAMPLE] = re.findall(r"^```html\n(.*?)^```", Path("docs/api.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of the page. Its API is empty, and allows the page's origin."""
    with running_site(parameters={"AllowedOrigins": "*"}) as site:
        shown = Response(EXAMPLE.replace("http://127.0.0.1:8000", site.url), mimetype="text/html")
        other = make_server(HOST, 0, shown, threaded=True, request_handler=QuietRequestHandler)
        with serving(other):
            yield f"http://{HOST}:{other.port}/"


@pytest.mark.parametrize("expected_errors", [["status of 415"]])
def test_the_page_shows_the_thumbnail_and_the_caption(url: str, page: Page) -> None:
    page.goto(url)
    page.get_by_label("Picture").set_input_files(photograph("coffee.jpg"))
    expect(page.get_by_role("status")).to_have_text("a photograph in brown tones")
    image = page.locator("img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 512
    page.get_by_label("Picture").set_input_files("README.md")
    expect(page.get_by_role("status")).to_contain_text("Unsupported image file.")
    expect(image).to_be_hidden()

"""The gallery of an API that only some clients may use."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, accessibility_violations, running_site
from tests.browser.gallery import Gallery, file
from tests.browser.test_gallery import SCENES, large_png
from tests.oidc_issuer import Issuer
from tools.local.access import API_KEY

UPLOADS = re.compile(r"/api/images(\?|$)")


@pytest.fixture
def site_with_keys() -> Iterator[Site]:
    with running_site(parameters={"ApiAuth": "API_KEY"}) as site:
        yield site


@pytest.fixture
def site_with_tokens(issuer: Issuer) -> Iterator[Site]:
    with running_site("/prod", {"ApiAuth": "JWT", "JwtIssuer": issuer.url}) as site:
        yield site


def unlock(page: Page, credential: str) -> None:
    page.locator("#credential").fill(credential)
    page.get_by_role("button", name="Continue").click()


@pytest.mark.parametrize("expected_errors", [["status of 403"]])
def test_a_403_of_something_else_than_the_gateway_does_not_forget_the_key(site_with_keys: Site, page: Page) -> None:
    page.goto(f"{site_with_keys.url}/")
    unlock(page, API_KEY)
    gallery = Gallery(page, site_with_keys.url)
    gallery.add(SCENES[0])
    # As a firewall or the proxy of a company does.
    page.route(UPLOADS, lambda route: route.fulfill(status=403, body="<h1>Blocked</h1>"))
    gallery.choose(SCENES[1])
    expect(gallery.failures).to_contain_text("The API returned status 403.")
    expect(page.locator("#credential")).to_be_hidden()
    expect(gallery.cards).to_have_count(1)
    page.unroute(UPLOADS)
    gallery.failures.get_by_role("button", name="Try again").click()
    expect(gallery.cards).to_have_count(2)


@pytest.mark.parametrize("expected_errors", [["status of 403"]])
def test_a_key_that_was_copied_from_a_text_works(site_with_keys: Site, page: Page) -> None:
    page.goto(f"{site_with_keys.url}/")
    for broken in ("clé", f"{API_KEY}é", "“”"):
        unlock(page, broken)
        expect(page.get_by_text("This is not an API key: it has characters that none can have.")).to_be_visible()
        expect(page.locator("#credential")).to_be_focused()
    unlock(page, f" \N{ZERO WIDTH SPACE}“{API_KEY[:5]}\N{SOFT HYPHEN}\n{API_KEY[5:]}”\N{ZERO WIDTH NO-BREAK SPACE}")
    expect(page.get_by_text("No images yet")).to_be_visible()


@pytest.mark.parametrize("expected_errors", [["status of 403"]])
def test_with_an_api_key_everything_works(site_with_keys: Site, page: Page) -> None:
    page.goto(f"{site_with_keys.url}/")
    expect(page.get_by_text("This API needs an API key.")).to_be_visible()
    expect(page.locator("#credential")).to_be_focused()
    expect(page.get_by_text("Add images")).to_be_hidden()
    assert accessibility_violations(page) == []
    unlock(page, "a wrong key")
    expect(page.get_by_text("This API key is not accepted.")).to_be_visible()
    unlock(page, API_KEY)
    expect(page.get_by_text("No images yet")).to_be_visible()
    gallery = Gallery(page, site_with_keys.url)  # the page still knows the key
    gallery.add(*SCENES)
    gallery.add(file("large.png", large_png()))
    with page.expect_response(lambda response: response.request.method == "DELETE") as deletion:
        gallery.delete("scene-01.png")
    assert deletion.value.status == 200
    page.reload()
    expect(gallery.cards).to_have_count(2)


@pytest.mark.parametrize("expected_errors", [["status of 401"]])
def test_a_token_that_expires_is_asked_for_again(site_with_tokens: Site, issuer: Issuer, page: Page) -> None:
    gallery_url = site_with_tokens.url
    page.goto(f"{gallery_url}/")
    expect(page.get_by_text("This API needs a token.")).to_be_visible()
    unlock(page, issuer.token("first"))
    expect(page.get_by_text("No images yet")).to_be_visible()
    gallery = Gallery(page, gallery_url)
    gallery.add(SCENES[0])
    expired = issuer.token("first", exp=-60)
    page.evaluate("token => sessionStorage.setItem('credential', token)", expired)
    gallery.choose(SCENES[1])
    expect(page.get_by_text("This token is not accepted.")).to_be_visible()
    expect(gallery.cards).to_have_count(0)
    expect(page.locator(".upload", has_text="scene-02.png")).to_contain_text("Waiting for access")
    unlock(page, issuer.token("first"))
    expect(gallery.cards).to_have_count(2)

"""The gallery of an API that needs a key, in three engines."""

from collections.abc import Iterator

import pytest

from tests.browser import engines
from tests.browser.conftest import Site, running_site
from tools.local.access import API_KEY


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_site(parameters={"ApiAuth": "API_KEY"}) as running:
        yield running


@pytest.mark.parametrize("engine", engines.LOOKS)
def test_a_key_opens_the_gallery(site: Site, engine: str) -> None:
    with engines.running(engine) as window:
        window.open(f"{site.url}/")
        window.expect_focus("#credential")
        window.write("#credential", "wrong")
        window.click("#access button")
        window.expect_texts("#access-text", "This API key is not accepted. Please enter another one.")
        window.write("#credential", API_KEY)
        window.click("#access button")
        window.expect_texts("#empty-title", "No images yet")
        window.reload()
        window.expect_texts("#empty-title", "No images yet")

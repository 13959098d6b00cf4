"""docs/openapi.json is what the handlers declare."""

from tools import openapi


def test_the_document_is_up_to_date() -> None:
    assert openapi.DOCUMENT.read_text() == openapi.text(), "docs/openapi.json is out of date: make openapi"

"""functions/show_page/openapi.json matches the declarations of the handlers."""

from tools import openapi


def test_the_document_is_up_to_date() -> None:
    assert openapi.DOCUMENT.read_text() == openapi.text(), (
        "functions/show_page/openapi.json is out of date: make openapi"
    )

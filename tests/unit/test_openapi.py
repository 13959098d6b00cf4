"""functions/show_page/openapi.json matches the declarations of the handlers."""

import re
from typing import Any

import jsonschema

from tests.contract import examples
from tools import template
from tools.docs import openapi
from tools.docs.openapi_examples import SUCCESSES


def test_the_document_is_up_to_date() -> None:
    assert openapi.DOCUMENT.read_text() == openapi.text(), (
        "functions/show_page/openapi.json is out of date: make openapi"
    )


def test_every_response_has_examples_that_match_its_schema() -> None:
    document = openapi.document()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    responses = [response for operation in operations for response in operation["responses"].values()]
    for response in [*responses, *document["components"]["responses"].values()]:
        if "$ref" in response:
            continue
        content = response["content"]["application/json"]
        assert content["examples"]
        for example in content["examples"].values():
            jsonschema.validate(example["value"], {**content["schema"], "components": document["components"]})


def test_the_page_names_each_field_and_parameter() -> None:
    document, page = openapi.document(), (template.ROOT / "docs" / "api.md").read_text()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = {parameter["name"] for operation in operations for parameter in operation.get("parameters", [])}
    names |= {name for schema in document["components"]["schemas"].values() for name in schema.get("properties", {})}
    missing = {name for name in names if not re.search(rf"""["`{{?=]{name}\b""", page)}
    assert not missing, f"docs/api.md: add {sorted(missing)}"


def test_the_examples_of_successes_are_those_of_the_contract() -> None:
    for operation, name, example in (
        ("uploadImage", "Image", examples.IMAGE),
        ("getImage", "Finished", examples.DETAILS),
        ("getThumbnail", "Url", examples.THUMBNAIL),
        ("getStats", "Statistics", examples.STATISTICS),
    ):
        assert without_urls(SUCCESSES[operation][name]) == without_urls(example)


def without_urls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_urls(item) for key, item in value.items()}
    return "a URL" if "/thumbnails/" in str(value) else value

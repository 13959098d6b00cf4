import ast
import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import get_type_hints
from unittest.mock import Mock

import pytest

from image_pipeline import errors, settings
from image_pipeline.http import handler, schemas
from image_pipeline.http.requests import Event
from image_pipeline.models import STANDARD_SIZES
from tests.events import load_event
from tools.local.gateway import LocalContext

pytestmark = pytest.mark.usefixtures("aws")

ERROR_CLASSES = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, errors.PipelineError) and found is not errors.PipelineError
]


def response_to(error: Exception) -> tuple[int, dict[str, object]]:
    def operation(_: Event) -> "schemas.Failure":
        raise error

    response = handler.api_handler("GET /api/stats")(operation)(
        load_event("get_stats"), LocalContext("GetStatsFunction")
    )
    return response["statusCode"], json.loads(response["body"])


@pytest.mark.parametrize("error", ERROR_CLASSES)
def test_every_error_has_a_status(error: type[errors.PipelineError]) -> None:
    assert error in handler.STATUS


def messages() -> Iterator[str]:
    """Yield the message of each error class, and the source of each message that is given to an error."""
    yield errors.UNEXPECTED
    yield from (error.message for error in ERROR_CLASSES if error.message)
    for path in Path("layers").glob("*/image_*/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(name), args=[message]) if name.endswith("Error") and hasattr(errors, name):
                    yield ast.unparse(message)


def test_every_refusal_says_what_to_do() -> None:
    silent = {message for message in messages() if not re.search(r"Please |HINT\}|advice\}", message)}
    # The contract gives this message.
    assert silent == {errors.ThumbnailNotFoundError.message}
    assert len(set(messages())) > 40


def test_a_subclass_has_the_status_of_its_base_class() -> None:
    class BlurredImageError(errors.UndecodableImageError):
        message = "The image is blurred."

    assert response_to(BlurredImageError()) == (400, {"current_status": "failure", "error": "The image is blurred."})


def test_an_error_without_a_status_is_a_500_with_its_message() -> None:
    class NewError(errors.PipelineError):
        message = "Something new went wrong."

    assert response_to(NewError()) == (500, {"current_status": "failure", "error": "Something new went wrong."})


def test_only_a_request_that_can_never_be_stored_is_not_to_be_repeated() -> None:
    for error, retry_after in ((errors.StorageError(), "2"), (errors.RefusedError(), None)):
        handled = handler.api_handler("GET /api/stats")(Mock(side_effect=error))
        response = handled(load_event("get_stats"), LocalContext("GetStatsFunction"))
        assert response["headers"].get("Retry-After") == retry_after
    assert response["statusCode"] == 500


def test_a_wrong_setting_is_one_line_in_the_log_and_a_500(logged: StringIO) -> None:
    assert response_to(settings.SettingError("the environment variable X is not set")) == (
        500,
        {"current_status": "failure", "error": errors.UNEXPECTED},
    )
    [line] = logged.getvalue().splitlines()
    assert json.loads(line)["message"] == "the environment variable X is not set"
    assert "exception" not in json.loads(line)


def test_each_thumbnail_size_is_described() -> None:
    assert set(get_type_hints(schemas.Thumbnails)) == {str(size) for size in STANDARD_SIZES}

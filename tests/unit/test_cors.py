"""What pages of other origins may do with each value of the parameter AllowedOrigins."""

from typing import Any
from unittest.mock import Mock

import pytest

from functions.answer_preflight import app as answer_preflight
from image_pipeline.http import handler
from tests.events import load_event
from tools.local.gateway import LocalContext

PAGE = "https://app.example"
CORS = {
    "Access-Control-Allow-Origin": PAGE,
    "Access-Control-Expose-Headers": "Duplicate-Of, Location, Retry-After",
    "Vary": "Origin",
}


def cors_headers(response: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in response["headers"].items() if name.startswith("Access-") or name == "Vary"}


def response_to(origin: str | None, operation: Any = dict) -> dict[str, Any]:
    event = load_event("get_stats")
    event["headers"]["origin"] = origin or ""
    if origin is None:
        del event["headers"]["origin"]
    return handler.api_handler("GET /api/stats")(lambda _: operation())(event, LocalContext("GetStatsFunction"))


@pytest.mark.parametrize(
    ("allowed", "origin", "headers"),
    [
        ("", PAGE, {}),
        (PAGE, None, {"Vary": "Origin"}),
        (PAGE, "https://other.example", {"Vary": "Origin"}),
        (PAGE, f"{PAGE}.other.example", {"Vary": "Origin"}),
        (PAGE, PAGE, CORS),
        (f"https://other.example,{PAGE}", PAGE, CORS),
        ("*", PAGE, CORS),
    ],
)
def test_a_response_names_the_origin_if_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: str, origin: str | None, headers: dict[str, str]
) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", allowed)
    assert cors_headers(response_to(origin)) == headers


def test_an_error_names_the_origin_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", PAGE)

    response = response_to(PAGE, Mock(side_effect=ValueError))
    assert response["statusCode"] == 500
    assert cors_headers(response) == CORS


def test_a_preflight_gets_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", PAGE)
    event = load_event("answer_preflight")
    response = answer_preflight.lambda_handler(event, LocalContext("AnswerPreflightFunction"))
    assert (response["statusCode"], response["body"]) == (204, "")
    assert response["headers"] == {
        **CORS,
        "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
        "Access-Control-Allow-Headers": (
            "Authorization, Content-Type, Idempotency-Key, X-Api-Key, X-Amz-Content-Sha256, X-Amz-Date, "
            "X-Amz-Security-Token"
        ),
        "Access-Control-Max-Age": "3600",
    }
    event["headers"]["Origin"] = "https://other.example"
    response = answer_preflight.lambda_handler(event, LocalContext("AnswerPreflightFunction"))
    assert response["headers"] == {"Vary": "Origin"}

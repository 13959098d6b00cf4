"""Wraps every API handler: turns return values and errors into HTTP responses. Only this module knows status codes.

A route is declared by the `api_handler(…)` line of its function. Everything else that has the route is derived from
this line or checked against it (tests/unit/test_routes.py).
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.logging import correlation_paths

from image_pipeline import deadline, errors, observability, settings
from image_pipeline.http import bodies, cors
from image_pipeline.http.requests import Event
from image_pipeline.observability import logger

Response = dict[str, Any]


@dataclass(frozen=True)
class Redirect:
    """The result of an operation that sends the client to another URL, with status 302."""

    body: bodies.Body
    url: str


@dataclass(frozen=True)
class Unfinished:
    """The result of an operation that the client should repeat later. The response has Retry-After."""

    body: bodies.Body


@dataclass(frozen=True)
class Duplicate:
    """The result of an upload whose file is known. The response has Duplicate-Of and status 200."""

    body: bodies.Body
    image_id: str


Result = bodies.Body | Redirect | Unfinished | Duplicate
Handler = Callable[[Event, deadline.Context], Response]
Operation = Callable[[Event], Result]


@dataclass(frozen=True)
class Route:
    """A route of the API: what a client sends, and how the response may end.

    Every Route checks credentials (ApiAuth). Pages and preflight requests are public; they have no Route.
    `errors` are raised besides COMMON_ERRORS.
    """

    method: str
    path: str
    errors: tuple[type[errors.PipelineError], ...]
    success: HTTPStatus


# Filled by `api_handler`, when the functions are imported.
ROUTES: dict[Operation, Route] = {}

# A subclass that is not listed has the status of its nearest listed base class.
STATUS: dict[type[errors.PipelineError], HTTPStatus] = {
    errors.InvalidRequestError: HTTPStatus.BAD_REQUEST,
    errors.InvalidThumbnailSizeError: HTTPStatus.BAD_REQUEST,
    errors.UndecodableImageError: HTTPStatus.BAD_REQUEST,
    errors.ImageNotFoundError: HTTPStatus.NOT_FOUND,
    errors.ThumbnailNotFoundError: HTTPStatus.NOT_FOUND,
    errors.FileNotUploadedError: HTTPStatus.NOT_FOUND,
    errors.RequestRunningError: HTTPStatus.CONFLICT,
    errors.RequestKeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.OwnerLimitError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.ImageLimitError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.DailyLimitError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.ImageTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedImageError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.CaptionError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.RefusedError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.StorageError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ServiceStartingError: HTTPStatus.SERVICE_UNAVAILABLE,
}
# The errors that any operation may raise.
COMMON_ERRORS: tuple[type[errors.PipelineError], ...] = (errors.StorageError, errors.DeadlineError)

_RETRY_AFTER_SECONDS = "2"


def api_handler(
    route: str,
    *raises: type[errors.PipelineError],
    success: HTTPStatus = HTTPStatus.OK,
    counts_faults: bool = False,
) -> Callable[[Operation], Handler]:
    """Make a Lambda handler from an operation, and declare its route, such as `GET /api/stats`.

    The operation takes an API Gateway event (payload version 1.0). It returns the body of a response with the status
    `success`, a Redirect, an Unfinished or a Duplicate. `raises` are the errors that it may raise besides
    COMMON_ERRORS. `counts_faults` emits a metric of the version of the function for each fault of ours.
    """
    method, path = route.split()

    def decorate(operation: Operation) -> Handler:
        @wraps(operation)
        @logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
        def handler(event: Event, context: deadline.Context) -> Response:
            try:
                with deadline.of(event, context):
                    result = operation(event)
                response = _success(result, success)
            except Exception as error:  # noqa: BLE001 - a client must not see a stack trace
                if counts_faults and errors.is_fault(error):
                    observability.record_version_fault()
                response = _failure(error)
            response["headers"] |= cors.headers(event)
            return response

        ROUTES[operation] = Route(method, path, raises, success)
        return handler

    return decorate


def status_of(error: type[errors.PipelineError]) -> HTTPStatus:
    """Return the status code of an error class. It is 500 if neither the class nor a base class is in STATUS."""
    listed = (STATUS[base] for base in error.__mro__ if base in STATUS)
    return next(listed, HTTPStatus.INTERNAL_SERVER_ERROR)


def may_be_repeated(status: HTTPStatus) -> bool:
    """Tell whether the same request may succeed later. Such a response has a Retry-After header."""
    return status == HTTPStatus.CONFLICT or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _success(result: Result, status: HTTPStatus) -> Response:
    match result:
        case Redirect(body, url):
            return _response(HTTPStatus.FOUND, body, Location=url)
        case Duplicate(body, image_id):
            return _response(HTTPStatus.OK, body, **{"Duplicate-Of": image_id})
        case Unfinished(body):
            return _response(status, body, **{"Retry-After": _RETRY_AFTER_SECONDS})
    return _response(status, result)


def _failure(error: Exception) -> Response:
    if isinstance(error, errors.PipelineError):
        return _refusal(error)
    if isinstance(error, settings.SettingError):
        logger.error(str(error), reason=type(error).__name__)
    else:
        logger.error("unexpected error", exc_info=error)
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, bodies.failure(errors.UNEXPECTED))


def _refusal(error: errors.PipelineError) -> Response:
    status = status_of(type(error))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request failed", status=status, reason=type(error).__name__, exc_info=error)
    else:
        logger.info("request refused", status=status, reason=type(error).__name__)
    if isinstance(error, errors.ImageNotFoundError):
        return _response(status, bodies.image_missing(str(error)))
    response = _response(status, bodies.failure(str(error)))
    if isinstance(error, errors.RefusedError):
        del response["headers"]["Retry-After"]
    if isinstance(error, errors.DailyLimitError):
        response["headers"]["Retry-After"] = str(math.ceil(error.seconds))
    return response


def _response(status: HTTPStatus, body: bodies.Body, **headers: str) -> Response:
    # Bodies contain presigned URLs, so proxies and browsers must not keep them.
    headers |= {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if may_be_repeated(status):
        headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return {
        "statusCode": int(status),
        "headers": headers,
        "body": json.dumps(body, separators=(",", ":")),
        "isBase64Encoded": False,
    }

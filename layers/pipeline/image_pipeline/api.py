"""From an API Gateway event to an answer and back: the only place that knows HTTP status codes."""

import json
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from image_pipeline import bodies, deadline, errors
from image_pipeline.observability import logger
from image_pipeline.requests import Event

Answer = dict[str, Any]
Handler = Callable[[Event, deadline.Context], Answer]
Operation = Callable[[Event], bodies.Body]

STATUS: dict[type[errors.PipelineError], HTTPStatus] = {
    errors.InvalidRequestError: HTTPStatus.BAD_REQUEST,
    errors.InvalidThumbnailSizeError: HTTPStatus.BAD_REQUEST,
    errors.UndecodableImageError: HTTPStatus.BAD_REQUEST,
    errors.ImageNotFoundError: HTTPStatus.NOT_FOUND,
    errors.ThumbnailNotFoundError: HTTPStatus.NOT_FOUND,
    errors.RequestRunningError: HTTPStatus.CONFLICT,
    errors.RequestKeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ImageTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedImageError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.CaptionError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.StorageError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineError: HTTPStatus.SERVICE_UNAVAILABLE,
}
# What any operation may end with.
EVERYWHERE: tuple[type[errors.PipelineError], ...] = (errors.StorageError, errors.DeadlineError)
_RETRY_AFTER_SECONDS = "2"
UNEXPECTED = "The request could not be processed. Please try again."


def api_handler(*raises: type[errors.PipelineError]) -> Callable[[Operation], Handler]:
    """Make a Lambda handler of an operation that takes an API Gateway v1 event and returns a 200's body.

    `raises` and the type of the body are what docs/openapi.json tells of the operation; EVERYWHERE is understood.
    """

    def decorate(operation: Operation) -> Handler:
        @wraps(operation)
        @logger.inject_lambda_context
        def handler(event: Event, context: deadline.Context) -> Answer:
            try:
                with deadline.of(event, context):
                    return _answer(HTTPStatus.OK, operation(event))
            except errors.PipelineError as error:
                return _refusal(error)
            except Exception:  # noqa: BLE001 - a client never sees a stack trace
                logger.exception("unexpected error")
                return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, bodies.failure(UNEXPECTED))

        vars(handler)["raises"] = raises
        return handler

    return decorate


def may_be_repeated(status: HTTPStatus) -> bool:
    """Tell whether the same request may fare better later: its answer says when, in Retry-After."""
    return status == HTTPStatus.CONFLICT or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _refusal(error: errors.PipelineError) -> Answer:
    status = STATUS[type(error)]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request failed", status=status, reason=type(error).__name__, exc_info=error)
    else:
        logger.info("request refused", status=status, reason=type(error).__name__)
    if isinstance(error, errors.ImageNotFoundError):
        return _answer(status, bodies.image_missing(str(error)))
    return _answer(status, bodies.failure(str(error)))


def _answer(status: HTTPStatus, body: bodies.Body) -> Answer:
    # Bodies hold presigned URLs: nobody on the way may keep them.
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if may_be_repeated(status):
        headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return {
        "statusCode": int(status),
        "headers": headers,
        "body": json.dumps(body, separators=(",", ":")),
        "isBase64Encoded": False,
    }

"""OPTIONS of every route: tells browsers what a page of another origin may send."""

from http import HTTPStatus

from image_pipeline.http import cors
from image_pipeline.http.handler import Response
from image_pipeline.http.requests import Event
from image_pipeline.observability import logger


@logger.inject_lambda_context
def lambda_handler(event: Event, context: object) -> Response:  # noqa: ARG001 - Lambda passes both
    headers = cors.preflight_headers(event)
    return {"statusCode": int(HTTPStatus.NO_CONTENT), "headers": headers, "body": "", "isBase64Encoded": False}

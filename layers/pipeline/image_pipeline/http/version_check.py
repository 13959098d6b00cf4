"""Sends known pictures to a version of the upload function, as API Gateway does, and deletes their images again.

A version that fails this check would send errors to clients, or refuse good files as damaged.
"""

import json
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypedDict
from uuid import uuid4

from image_pipeline import settings
from image_pipeline.errors import DeadlineError, ImageNotFoundError, StorageError
from image_pipeline.http import forms
from image_pipeline.http.requests import Event
from image_pipeline.models import MEDIA_TYPES, SHARED
from image_pipeline.observability import logger
from image_pipeline.storage import claims, records, versions
from image_pipeline.storage.versions import BrokenVersionError, NoResponseError

# A fresh image of a gigabyte may need minutes before it responds. No try begins later than this. After the last one,
# the function still has the time to delete the image and to tell CodeDeploy.
TRY_SECONDS = 190
_PAUSE_SECONDS = 3
_BOUNDARY = "known-picture"
# 503: the service is starting or has too little time. 409: an earlier try, which got no response, is still running.
_TRY_AGAIN = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.CONFLICT)


class PictureResult(TypedDict):
    """The response to a known picture. `seconds` is the time from the first try to the response."""

    name: str
    seconds: float
    status: int | None
    caption: str


class Report(TypedDict):
    """Whether each picture got a caption, and if not, why."""

    passed: bool
    pictures: list[PictureResult]
    reason: str


@dataclass(frozen=True)
class _Response:
    status: int | None
    caption: str
    reason: str


def run(event: Mapping[str, Any], pictures: Mapping[str, bytes]) -> Report:
    """Check the version UPLOAD_VERSION_ARN with pictures, by file name.

    If CodeDeploy asks, it is told the result even after an error. Otherwise the deployment would wait for an hour.
    """
    passed = False
    try:
        report = check(settings.upload_version_arn(), pictures)
        passed = report["passed"]
    finally:
        if "LifecycleEventHookExecutionId" in event:
            versions.report(
                event["DeploymentId"], event["LifecycleEventHookExecutionId"], "Succeeded" if passed else "Failed"
            )
    return report


def check(version: str, pictures: Mapping[str, bytes]) -> Report:
    """Send pictures to the version with this ARN, one after the other, and delete their images."""
    ends_at = time.monotonic() + TRY_SECONDS
    checked: list[PictureResult] = []
    reasons = []
    for name, content in pictures.items():
        start, key = time.monotonic(), str(uuid4())
        try:
            response = _response(version, _upload(name, content, key), ends_at)
            seconds = round(time.monotonic() - start, 3)
        finally:
            _delete(key)
        checked.append({"name": name, "seconds": seconds, "status": response.status, "caption": response.caption})
        if response.reason:
            reasons.append(f"{name}: {response.reason}")
        logger.info("picture checked", status=response.status, seconds=seconds)
        if time.monotonic() >= ends_at:
            break
    is_passed = not reasons and len(checked) == len(pictures)
    reason = "; ".join(reasons) if reasons or is_passed else "the first pictures took all the time"
    return {"passed": is_passed, "pictures": checked, "reason": reason}


def _response(version: str, event: Event, ends_at: float) -> _Response:
    """Send an upload until it gets a response. It has an Idempotency-Key, so several tries make one image."""
    while True:
        try:
            response = _read(versions.invoke(version, event))
        except NoResponseError as error:
            response = _Response(None, "", str(error))
        except BrokenVersionError as error:
            return _Response(None, "", str(error))
        is_over = time.monotonic() + _PAUSE_SECONDS >= ends_at
        if is_over or (response.status is not None and response.status not in _TRY_AGAIN):
            return response
        time.sleep(_PAUSE_SECONDS)


def _read(response: object) -> _Response:
    match response:
        case {"statusCode": int(status), "body": str(body)}:
            pass
        case _:
            return _Response(HTTPStatus.BAD_GATEWAY, "", "the response is not one for API Gateway")
    match json.loads(body):
        case {"data": {"caption": str(caption)}} if status == HTTPStatus.OK and caption.strip():
            return _Response(status, caption, "")
        case {"error": str(message)}:
            return _Response(status, "", f"status {status}, {message}")
    return _Response(status, "", f"status {status} without a caption")


def _delete(key: str) -> None:
    """Delete the image of an upload with this Idempotency-Key, even if it is unfinished. It can then never finish."""
    try:
        if image_id := claims.image_of(SHARED, key):
            records.delete(SHARED, image_id)
    except ImageNotFoundError:
        pass
    except (StorageError, DeadlineError):
        # No reason to stop a deployment: the version is good.
        logger.exception("known picture not deleted")


def _upload(name: str, content: bytes, key: str) -> dict[str, Any]:
    """Return the event of API Gateway for an upload. It has no request time, so only Lambda's time limit counts."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{forms.FIELD}"; filename="{name}"\r\n'
        f"Content-Type: {MEDIA_TYPES[name.rpartition('.')[2]]}\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()
    headers = {
        "Accept": "application/json",
        "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
        "Host": "check.invalid",
        "Idempotency-Key": key,
        "User-Agent": "check_version",
    }
    return {
        "resource": "/api/images",
        "path": "/api/images",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {header: [value] for header, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "httpMethod": "POST",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "check_version"},
            "path": "/prod/api/images",
            "protocol": "HTTP/1.1",
            "requestId": key,
            "resourcePath": "/api/images",
            "stage": "prod",
        },
        "body": b64encode(body).decode(),
        "isBase64Encoded": True,
    }

"""What a response means: a verdict on the file, or a problem that has nothing to do with it."""

from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from clients.upload_folder.errors import FileError, RunError, TransientError

# A longer Retry-After comes from a quota, such as the 3,600 s of API Gateway.
_MAX_RETRY_AFTER_SECONDS = 900
_TRANSIENT = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
# With a body of the API, these are about the file, or about the key of the request.
_VERDICTS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
_MAX_DIGITS = 9


def problem_of(response: httpx.Response) -> Exception | None:
    """Return the RunError, TransientError or FileError that a response of the API means, or None for an answer.

    An answer is a success, a verdict on the file, or the 404 of an image that does not exist, with a body of the API.
    Only a 413 may have any body: API Gateway and proxies have limits too. 401 and 403 are not decided here.
    """
    status, url = response.status_code, response.request.url
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        place = response.headers.get("Location", "another address")
        return RunError(f"{url} redirects to {place}. Please use the URL of the API itself")
    if problem := passing_problem_of(response):
        return problem
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return None
    if (response.is_success or status in _VERDICTS or _is_missing_image(response)) and _is_ours(response):
        return None
    return RunError(
        f"{url} does not answer as this API does (status {status}: {error_of(response)}). Please check the URL"
    )


def passing_problem_of(response: httpx.Response) -> Exception | None:
    """Return the error of a response that may be better next time, or None for any other response."""
    status, seconds, error = response.status_code, _retry_after(response), error_of(response)
    if status not in _TRANSIENT and status < HTTPStatus.INTERNAL_SERVER_ERROR and not _is_slow(response):
        return None
    if seconds is not None and seconds > _MAX_RETRY_AFTER_SECONDS:
        return RunError(f"{error} The API asks to wait {seconds / 3600:.1f} hours. Please run the command again then")
    # The API says so if another try does not help: the file cannot be stored, or the owner has as many as allowed.
    if status == HTTPStatus.TOO_MANY_REQUESTS and "Retry-After" not in response.headers and _is_ours(response):
        return RunError(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and seconds is None and _is_ours(response):
        return FileError(error)
    return TransientError(f"status {status}, {error}", seconds)


def error_of(response: httpx.Response) -> str:
    """Return what a response says about an error, in a few words."""
    match _json(response):
        case {"error": str(error)} | {"data": str(error)} | {"message": str(error)}:
            return error
    return " ".join(response.text[:200].split()) or response.reason_phrase or "without a body"


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds in the header Retry-After, which may also be a date, or None."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value[:_MAX_DIGITS])
    try:
        seconds = (parsedate_to_datetime(value) - parsedate_to_datetime(response.headers["Date"])).total_seconds()
    except (ValueError, TypeError, KeyError):
        return None
    return max(0.0, seconds)


def _is_slow(response: httpx.Response) -> bool:
    """Tell whether S3 waited too long for the file."""
    return response.status_code == HTTPStatus.BAD_REQUEST and "<Code>RequestTimeout</Code>" in response.text


def _is_ours(response: httpx.Response) -> bool:
    """Tell whether a response has a JSON body as the API sends them."""
    match _json(response):
        case {"current_status": "success" | "failure"} | {"image_status": "success"}:
            return True
    return False


def _is_missing_image(response: httpx.Response) -> bool:
    """Tell whether the API says that an image does not exist, and not that a route does not."""
    match _json(response):
        case {"current_status": "failure", "data": str(), "error": None}:
            return response.status_code == HTTPStatus.NOT_FOUND
    return False


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None

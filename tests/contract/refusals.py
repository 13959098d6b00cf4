"""A check for all error responses, and messages that several tests expect."""

import requests

HINT = "Send multipart/form-data with one file in the field 'file', for example: curl -F file=@photo.jpg"
DAMAGED = "The image is damaged or incomplete and cannot be decoded. Please send the whole file again."


def refusal(response: requests.Response) -> tuple[int, str]:
    """Return status and message of an error. Assert that the response has exactly the fields of the contract."""
    body = response.json()
    assert list(body) == ["current_status", "error"]
    assert body["current_status"] == "failure"
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, body["error"]

"""Versions of the upload function: calls one, and tells CodeDeploy whether uploads may go to it.

No other module calls Lambda or CodeDeploy.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline.storage.clients import aws_lambda, codedeploy

# Lambda gets the image ready, takes a snapshot, or has no environment left at the moment.
_NOT_READY = {
    "ResourceConflictException",
    "ResourceNotReadyException",
    "ServiceException",
    "SnapStartNotReadyException",
    "SnapStartTimeoutException",
    "TooManyRequestsException",
}
_MAX_MESSAGE_CHARACTERS = 200


class NoResponseError(Exception):
    """The version is not ready, or has run out of time. Another try may succeed."""


class BrokenVersionError(Exception):
    """The version crashed, or cannot be called at all."""


def invoke(version: str, event: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the result of a function
    """Call the version with this ARN and return its result. Raises NoResponseError and BrokenVersionError."""
    try:
        response = aws_lambda().invoke(FunctionName=version, Payload=json.dumps(event).encode())
        result = json.loads(response["Payload"].read())
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise (NoResponseError if code in _NOT_READY else BrokenVersionError)(f"Lambda returned {code}") from error
    except BotoCoreError as error:
        raise NoResponseError(f"Lambda gave no response ({type(error).__name__})") from error
    if "FunctionError" not in response:
        return result
    message = f"{result.get('errorType', 'error')}: {result.get('errorMessage', '')}"[:_MAX_MESSAGE_CHARACTERS]
    # In older environments of Lambda, only the message shows that the error is a timeout.
    is_timeout = result.get("errorType") == "Sandbox.Timedout" or "Task timed out after" in message
    raise (NoResponseError if is_timeout else BrokenVersionError)(message)


def report(deployment: str, hook: str, status: Literal["Succeeded", "Failed"]) -> None:
    """Tell CodeDeploy how a hook of a deployment ended. Raises errors of botocore."""
    codedeploy().put_lifecycle_event_hook_execution_status(
        deploymentId=deployment, lifecycleEventHookExecutionId=hook, status=status
    )

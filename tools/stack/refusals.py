"""Tells which errors every further call would meet as well, such as expired credentials, and what to do then."""

import re
from collections.abc import Iterator

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from image_pipeline.errors import StorageError

_CREDENTIAL_CODES = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotSignedUp",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
}
_CREDENTIAL_ERRORS = (
    exceptions.ConfigNotFound,
    exceptions.ConfigParseError,
    exceptions.CredentialRetrievalError,
    exceptions.InvalidConfigError,
    exceptions.LoginError,
    exceptions.NoAuthTokenError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.ProfileNotFound,
    exceptions.RefreshWithMFAUnsupportedError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
    exceptions.UnknownCredentialError,
)
_REGION_ERRORS = (exceptions.NoRegionError, exceptions.InvalidRegionError)
_CLOCK_CODES = {"RequestTimeTooSkewed"}
_MISSING_CODES = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
}
_REDIRECT_CODES = {"AuthorizationHeaderMalformed", "PermanentRedirect", "Redirect", "TemporaryRedirect"}
_ADVICES = (
    (_CREDENTIAL_CODES, "AWS refuses the credentials ({}). Log in again, and run the same command again"),
    (_CLOCK_CODES, "AWS refuses the time of this machine ({}). Set its clock, and run the same command again"),
    (_REDIRECT_CODES, "this is not the endpoint of the bucket ({}). Check AWS_DEFAULT_REGION and AWS_ENDPOINT_URL"),
    (_MISSING_CODES, "{}. Check the names of the stack and the bucket, and AWS_DEFAULT_REGION"),
)
_DENIED_CODES = {"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "UnauthorizedOperation"}
_NO_STACK = re.compile(r"Stack .*does not exist")


class RefusedAccessError(Exception):
    """No further call would succeed. The message says what to do."""


class NotAwsError(Exception):
    """What responded is not AWS, for example the login page of a network."""


def advice(error: BaseException) -> str | None:
    """Return one line that says what to do, if every further call would fail as well. Otherwise return None."""
    return next((line for cause in _causes(error) if (line := _advice(cause))), None)


def is_denied(error: BaseException) -> bool:
    """Tell whether AWS knows who asks, and refuses this call. For another object it may not."""
    return any(isinstance(cause, ClientError) and code(cause) in _DENIED_CODES for cause in _causes(error))


def is_of_aws(error: BaseException) -> bool:
    """Tell whether a call to AWS failed, and not a check of ours."""
    return any(isinstance(cause, (ClientError, BotoCoreError)) for cause in _causes(error))


def reason(error: BaseException) -> str:
    """Return what to show about an error, in one line."""
    match error:
        case StorageError(__cause__=BaseException() as cause):
            return reason(cause)
        case ClientError():
            text = f"{code(error)}: {error.response.get('Error', {}).get('Message', '')}".removesuffix(": ")
        case _:
            text = f"{type(error).__name__}: {error}".removesuffix(": ")
    return " ".join(text.split())


def code(error: ClientError) -> str:
    """Return the code of an error, such as AccessDenied."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _advice(error: BaseException) -> str | None:
    match error:
        case RefusedAccessError():
            return str(error)
        case ClientError():
            return _advice_on_code(error)
        case NotAwsError() | ResponseParserError():
            return f"the response is not from AWS ({reason(error)}). Check AWS_ENDPOINT_URL, the proxy and the network"
        case _ if isinstance(error, _REGION_ERRORS):
            return f"{reason(error)}. Set AWS_DEFAULT_REGION to the region of the stack"
        case _ if isinstance(error, _CREDENTIAL_ERRORS):
            return f"{reason(error)}. Log in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID, and run the same command again"
    return None


def _advice_on_code(error: ClientError) -> str | None:
    found, status = code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    bucket = str(error.response.get("Error", {}).get("BucketName", ""))
    text = f"{reason(error)} {bucket}".rstrip()
    for codes, line in _ADVICES:
        if found in codes:
            return line.format(text)
    if found == "ValidationError" and _NO_STACK.match(error.response["Error"].get("Message", "")):
        return f"{text}. Check STACK and AWS_DEFAULT_REGION"
    # AWS names each error. We send no HEAD requests, whose errors have only a number.
    if (found in {"", "Unknown"} or found.isdecimal()) and 300 <= status < 500:
        return f"the response is not from AWS ({status} {text}). Check AWS_ENDPOINT_URL, the proxy and the network"
    return None

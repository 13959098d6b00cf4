"""What a client of the API proves its identity with: a key, a token, or the signature of AWS."""

import os
import re
from collections.abc import Callable, Generator
from pathlib import Path

import httpx

API_KEY_VARIABLE, TOKEN_VARIABLE = "IMAGE_PIPELINE_API_KEY", "IMAGE_PIPELINE_TOKEN"
_SERVICE = "execute-api"
# The host of an API, such as abc123.execute-api.eu-central-1.amazonaws.com.
_REGION_IN_HOST = re.compile(rf"\.{_SERVICE}\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$")


class CredentialsError(Exception):
    """The credentials cannot be read or used. The message says what to do."""


class Credentials(httpx.Auth):
    """No credentials, for an API that everybody may use. The base class of the others."""

    def renew(self, refused: httpx.Request) -> bool:  # noqa: ARG002 - others need it
        """Read the credentials again. Return whether they differ from those of the refused request."""
        return False


class Secret(Credentials):
    """A key or a token in a header. `read` returns its current value. Raises CredentialsError."""

    def __init__(self, header: str, prefix: str, read: Callable[[], str]) -> None:
        self._header, self._prefix, self._read = header, prefix, read
        self._value = read()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Put the value into the header of a request."""
        request.headers[self._header] = self._prefix + self._value
        yield request

    def renew(self, refused: httpx.Request) -> bool:
        """Read the value again, because a token ends. Raises CredentialsError."""
        self._value = self._read()
        return refused.headers[self._header] != self._prefix + self._value


class Signature(Credentials):
    """Signature Version 4, by the credentials that the AWS CLI would use. Raises CredentialsError."""

    requires_request_body = True

    def __init__(self, host: str) -> None:
        # botocore takes a quarter of a second to import, and only this way of access needs it.
        import botocore.session  # noqa: PLC0415
        from botocore.auth import SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        self._signer, self._request, self._botocore_error = SigV4Auth, AWSRequest, BotoCoreError
        session = botocore.session.get_session()
        found = _REGION_IN_HOST.search(host)
        try:
            region = found[1] if found else session.get_config_variable("region")
            credentials = session.get_credentials()
        except BotoCoreError as error:
            raise CredentialsError(f"The AWS credentials cannot be read: {error}") from error
        if credentials is None:
            raise CredentialsError("There are no AWS credentials. Please sign in, for example with `aws sso login`")
        if not region:
            raise CredentialsError("The region of the API is not known. Please set AWS_REGION")
        self._region, self._credentials = region, credentials

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign a request. Raises CredentialsError."""
        try:
            # Temporary credentials are renewed here, if they end soon.
            credentials = self._credentials.get_frozen_credentials()
        except self._botocore_error as error:
            raise CredentialsError(f"The AWS credentials have ended: {error}. Please sign in again") from error
        signer = self._signer(credentials, _SERVICE, self._region)
        signed = self._request(request.method, str(request.url), {"Host": request.headers["Host"]}, request.content)
        signer.add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        yield request


def of(api_key_file: Path | None, token_file: Path | None, host: str | None) -> Credentials:
    """Return the credentials from a file, or else from the environment. Raises CredentialsError.

    `host` is the host of the API if requests must be signed, and otherwise None.
    """
    key = _reader(api_key_file, API_KEY_VARIABLE)
    token = _reader(token_file, TOKEN_VARIABLE)
    if sum(way is not None for way in (key, token, host)) > 1:
        raise CredentialsError(
            f"Please choose one of: an API key (--api-key-file, {API_KEY_VARIABLE}), "
            f"a token (--token-file, {TOKEN_VARIABLE}), --aws-iam"
        )
    if key is not None:
        return Secret("x-api-key", "", key)
    if token is not None:
        return Secret("Authorization", "Bearer ", token)
    return Credentials() if host is None else Signature(host)


def _reader(file: Path | None, variable: str) -> Callable[[], str] | None:
    """Return a function that reads a secret, or None if neither the file nor the variable is given."""
    if file is None and variable not in os.environ:
        return None

    def read() -> str:
        try:
            text = os.environ[variable] if file is None else file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsError(f"{file} cannot be read: {error}") from None
        secret = text.strip().removeprefix("Bearer ").strip()
        if not re.fullmatch("[!-~]+", secret):
            raise CredentialsError(f"{file or variable} must contain one key or token, of visible ASCII characters")
        return secret

    return read

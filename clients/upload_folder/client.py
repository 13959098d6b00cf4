"""Requests to the API and to S3, which are repeated as long as another try may help."""

import math
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from clients.stopping import StopRequest
from clients.upload_folder import verdicts
from clients.upload_folder.credentials import Credentials, CredentialsError
from clients.upload_folder.errors import (
    FileError,
    FormRefusedError,
    RunError,
    StoppedError,
    TransientError,
    UnreachableError,
)

Json = dict[str, Any]
# Makes the arguments of httpx for the body of a request, for each try.
Body = Callable[[], Mapping[str, Any]]

# The first response must come soon. Otherwise the user is told.
_CONNECT_SECONDS, _FIRST_SECONDS = 4, 4
_TIMEOUT_SECONDS = 60
_TRIES = 12
_MAX_PAUSE_SECONDS = 60
_SECONDS_BETWEEN_LINES = 10
# The longest `?wait=` that the API allows.
_WAIT_SECONDS = 20
# As long as the Retry-After of an image that is still processed.
_STILL_PROCESSING_SECONDS = 2
_MAX_PROCESSING_SECONDS = 3600
_LONG_PROCESSING_SECONDS = 60
# The most ids or digests in a request of POST /api/images/check.
MAX_CHECKED = 100
# Every API has this route, and its response is small.
_HARMLESS = "api/stats"


class Client:
    """A client of the API at `url`, which ends with a slash. Several threads may use it.

    `stop` ends the pauses between two tries. `tell` shows a line to the user. All methods that send something raise
    RunError, StoppedError, and the kinds of FileError.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        *,
        stop: StopRequest | None = None,
        tell: Callable[[str], None] = print,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url, self.stop = url, stop or StopRequest()
        self.tell, self._credentials = tell, credentials or Credentials()
        try:
            self._http = httpx.Client(timeout=_timeout(), transport=transport)
        except (ImportError, OSError, ValueError) as error:
            # For example by SSL_CERT_FILE and ALL_PROXY.
            raise RunError(f"The settings of the network cannot be used: {error}") from error
        self._renewal = threading.Lock()
        self._told_at, self._is_known = -math.inf, False
        self._date, self._date_at = time.time(), time.monotonic()

    def now(self) -> float:
        """Return the Unix time by the clock of the API. The clock of this machine may be wrong, or be set anew."""
        return self._date + time.monotonic() - self._date_at

    def verify(self) -> None:
        """Make sure that the URL is that of an API, and that it grants access. Raises RunError and StoppedError."""
        # A host may have many addresses that do not respond.
        telling = threading.Timer(_FIRST_SECONDS - 1, self.tell, [f"waiting for {self.url}"])
        telling.start()
        try:
            self._retried(lambda: self._probe(_FIRST_SECONDS))
        except FileError as error:
            raise RunError(f"{self.url} cannot be used: {error}. Please try again later") from error
        finally:
            telling.cancel()

    def send(self, method: str, path: str, body: Body = dict) -> httpx.Response:
        """Send a request to the API, and return an answer (see verdicts.py).

        `path` is relative to the URL of the API.
        """
        try:
            return self._retried(lambda: self._send(method, path, body))
        except UnreachableError as error:
            # Either nothing works any more, or only this request.
            try:
                self._probe()
            except TransientError:
                raise RunError(f"{self.url} cannot be reached any more: {error}") from error
            raise

    def send_form(self, url: str, body: Body) -> None:
        """Send the form of a direct upload to S3."""
        self._retried(lambda: self._send_form(url, body))

    def image(self, image_id: str, query: str = "") -> Json | None:
        """Return an image in any state, or None if the API says that it does not exist."""
        response = self.send("GET", f"api/images/{image_id}{query}")
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        image: Json = _content(response)["data"]
        return image

    def finished(self, image_id: str) -> Json | None:
        """Wait until an image is finished or has failed, and return it, or None if it was deleted."""
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < _MAX_PROCESSING_SECONDS:
            if waited > _LONG_PROCESSING_SECONDS:
                self._tell_sometimes(
                    f"an image is still being processed after {waited / 60:.0f} minutes", _LONG_PROCESSING_SECONDS
                )
            image = self.image(image_id, f"?wait={_WAIT_SECONDS}")
            if image is None or image["image_status"] != "processing":
                return image
            # The API does not let everybody wait at the same time.
            self._pause(_STILL_PROCESSING_SECONDS)
        raise UnreachableError("The image is still being processed.")

    def existing(self, image_ids: list[str]) -> dict[str, Json]:
        """Return those of at most MAX_CHECKED images that exist, by id."""
        response = self.send("POST", "api/images/check", lambda: {"json": {"image_ids": image_ids}})
        content: dict[str, Json] = _content(response)["content"]
        return content

    def known(self, digests: list[str]) -> dict[str, str] | None:
        """Return the image ids of those files that the API has, by digest, or None if it does not tell.

        There are at most MAX_CHECKED digests, each of a file and its prompt (docs/api.md#equal-files).
        """
        try:
            response = self.send("POST", "api/images/check", lambda: {"json": {"sha256": digests}})
            known: dict[str, str] | None = _content(response).get("known")
        except FileError:
            # The stack has Duplicates=keep, or something refuses the question. The files can be sent all the same.
            return None
        return known

    def delete(self, image_id: str) -> None:
        """Delete an image, if it exists."""
        self.send("DELETE", f"api/images/{image_id}")

    def _retried(self, once: Callable[[], httpx.Response]) -> httpx.Response:
        policy = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(_TRIES),
            wait=_pause_after,
            before_sleep=self._tell_about,
            sleep=self._pause,
            reraise=True,
        )
        try:
            return policy(once)
        except TransientError as error:
            raise UnreachableError(str(error)) from error

    def _send(self, method: str, path: str, body: Body) -> httpx.Response:
        response = self._request(method, urljoin(self.url, path), auth=self._credentials, **body())
        if response.status_code == HTTPStatus.FORBIDDEN:
            # A firewall refuses only this file, and a wrong key all files.
            self._probe()
            raise FileError(f"Something refused this request with status 403: {verdicts.error_of(response)}")
        return self._answer(response)

    def _probe(self, seconds: float = _TIMEOUT_SECONDS) -> httpx.Response:
        """Send a request that changes nothing. Raises RunError if access is refused, and TransientError."""
        url = urljoin(self.url, _HARMLESS)
        response = self._request("GET", url, auth=self._credentials, timeout=_timeout(seconds))
        if response.status_code == HTTPStatus.FORBIDDEN:
            raise _access_refused(response)
        return self._answer(response)

    def _answer(self, response: httpx.Response) -> httpx.Response:
        """Return a response that is an answer. Raises the error that it means otherwise."""
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            raise TransientError("the token has ended", 0) if self._renew(response) else _access_refused(response)
        if problem := verdicts.problem_of(response):
            raise problem
        self._note_date(response)
        return response

    def _send_form(self, url: str, body: Body) -> httpx.Response:
        response = self._request("POST", url, **body())
        error = f"S3 refused the file with status {response.status_code}: {verdicts.error_of(response)}"
        if problem := verdicts.passing_problem_of(response):
            raise problem
        if response.status_code == HTTPStatus.FORBIDDEN:
            raise FormRefusedError(error)
        if not response.is_success:
            raise FileError(error)
        return response

    def _request(self, method: str, url: str, **arguments: Any) -> httpx.Response:  # noqa: ANN401 - arguments of httpx
        if self.stop.is_set:
            raise StoppedError
        try:
            response = self._http.request(method, url, **arguments)
        except httpx.RequestError as error:
            raise self._network_problem(error) from error
        except CredentialsError as error:
            raise RunError(str(error)) from error
        self._is_known = True
        return response

    def _network_problem(self, error: httpx.RequestError) -> Exception:
        reason = f"{type(error).__name__}, {error}" if str(error) else type(error).__name__
        if _is_about_certificate(error):
            return RunError(
                f"The certificate of {error.request.url.host} is not trusted: {error}. If your organisation has its "
                "own certificate authority, please set SSL_CERT_FILE to the file with its certificate"
            )
        if not self._is_known and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            return RunError(f"{self.url} cannot be reached: {reason}. Please check the URL and the network")
        return TransientError(reason)

    def _note_date(self, response: httpx.Response) -> None:
        try:
            date = parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return
        self._date, self._date_at = date, time.monotonic()

    def _renew(self, response: httpx.Response) -> bool:
        with self._renewal:
            try:
                return self._credentials.renew(response.request)
            except CredentialsError as error:
                raise RunError(str(error)) from error

    def _tell_about(self, state: RetryCallState) -> None:
        """Tell that the command waits."""
        if state.outcome and state.next_action:
            tries = f"try {state.attempt_number} of {_TRIES}"
            line = f"waiting {state.next_action.sleep:g} s ({tries}): {state.outcome.exception()}"
            self._tell_sometimes(line, _SECONDS_BETWEEN_LINES)

    def _tell_sometimes(self, line: str, seconds: float) -> None:
        """Show a line, unless a worker has shown one in the last `seconds`."""
        if time.monotonic() - self._told_at >= seconds:
            self._told_at = time.monotonic()
            self.tell(line)

    def _pause(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise StoppedError


def _timeout(seconds: float = _TIMEOUT_SECONDS) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=_CONNECT_SECONDS, pool=None)


def _content(response: httpx.Response) -> Json:
    """Return the body of a success. Raises FileError for a verdict, which a question about images does not expect."""
    if not response.is_success:
        raise FileError(f"The API refuses to answer: {verdicts.error_of(response)}")
    body: Json = response.json()
    return body


def _pause_after(state: RetryCallState) -> float:
    """Return how long to wait: as long as the server says, or else longer after each try."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, TransientError) and error.seconds is not None:
        return error.seconds
    return min(0.5 * 2.0 ** (state.attempt_number - 1), _MAX_PAUSE_SECONDS)


def _access_refused(response: httpx.Response) -> RunError:
    return RunError(
        f"The API refuses access (status {response.status_code}: {verdicts.error_of(response)}). "
        "--help shows how to give a key, a token or a signature"
    )


def _is_about_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False

"""The requests of the command that uploads a folder: what is repeated, what stops the run, and what fails one file."""

import json
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients.upload_folder.client import Client
from clients.upload_folder.credentials import Credentials, CredentialsError, Secret, of
from clients.upload_folder.errors import FileError, FormRefusedError, RunError, StoppedError, UnreachableError
from tests.clocks import Clock

URL = "https://api.example/v1/"
STATS = {"current_status": "success", "data": {"success": 1}}
IMAGE = {"image_status": "success", "data": {"image_id": "1", "caption": "a tree"}, "error": None}
MISSING = {"current_status": "failure", "data": "Image does not exist. Please view another one.", "error": None}
FAILURE = {"current_status": "failure", "error": "The image is damaged."}
NO_ROUTE = {"current_status": "failure", "error": "This route does not exist. The page /docs lists all routes."}
HTML = "<html><body>Sign in</body></html>"

Answer = httpx.Response | Exception


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Server:
    """Gives the answers in their order. The last one is repeated. GET api/stats has an answer of its own."""

    def __init__(self, *answers: Answer, stats: Answer | None = None) -> None:
        self.answers, self.stats = list(answers), stats or httpx.Response(200, json=STATS)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/api/stats"):
            answer = self.stats
        else:
            self.requests.append(request)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def client_of(server: Callable[[httpx.Request], httpx.Response], clock: Clock, **others: Any) -> Client:
    return Client(URL, stop=clock, tell=clock.lines.append, transport=httpx.MockTransport(server), **others)


def answer(status: int, body: object = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, str):
        return httpx.Response(status, text=body, headers=named)
    return httpx.Response(status, json=body, headers=named)


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_the_api_asks(clock: Clock, status: int) -> None:
    now = datetime.now(UTC)
    then, sent = (format_datetime(moment, usegmt=True) for moment in (now + timedelta(seconds=100), now))
    server = Server(
        answer(status, FAILURE, Retry_After="7"),
        answer(status, FAILURE, Retry_After=then, Date=sent),
        answer(status, FAILURE, Retry_After="soon"),
        answer(200, IMAGE),
    )
    assert client_of(server, clock).send("POST", "api/images").json() == IMAGE
    # After a value that means nothing, it waits as long as without one.
    assert clock.pauses == [7, 100, 2]
    assert clock.lines == [f"waiting 7 s (try 1 of 12): status {status}, The image is damaged."]


@pytest.mark.parametrize(
    "problem",
    [
        *(answer(status, FAILURE) for status in (408, 409, 425, 502, 503, 504)),
        answer(429, FAILURE, Retry_After="2"),
        answer(429, HTML),
        answer(500, HTML),
        answer(500, FAILURE, Retry_After="2"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("closed"),
        httpx.DecodingError("no gzip"),
    ],
)
def test_what_passes_is_tried_again(clock: Clock, problem: Answer) -> None:
    client = client_of(Server(problem, answer(200, IMAGE)), clock)
    client.verify()
    assert client.send("POST", "api/images").json() == IMAGE
    assert len(clock.pauses) == 1


def test_it_waits_longer_and_longer_and_then_only_this_file_fails(clock: Clock) -> None:
    client = client_of(Server(httpx.ReadTimeout("slow")), clock)
    with pytest.raises(UnreachableError, match="ReadTimeout, slow"):
        client.send("POST", "api/images")
    assert clock.pauses == sorted(clock.pauses)
    assert (clock.pauses[0], clock.pauses[-1], len(clock.pauses)) == (0.5, 60, 11)


@pytest.mark.parametrize("stats", [httpx.ReadTimeout("slow"), answer(503, FAILURE)])
def test_if_nothing_works_any_more_the_run_stops(clock: Clock, stats: Answer) -> None:
    client = client_of(Server(httpx.ReadTimeout("slow"), stats=stats), clock)
    with pytest.raises(RunError, match="cannot be reached any more"):
        client.send("POST", "api/images")


def test_it_stops_while_it_waits(clock: Clock) -> None:
    clock.at_pause = clock.set
    with pytest.raises(StoppedError):
        client_of(Server(answer(503)), clock).send("POST", "api/images")
    with pytest.raises(StoppedError):
        client_of(Server(answer(200, IMAGE)), clock).send("POST", "api/images")


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (answer(301, "", Location="https://other.example/"), "redirects to https://other.example/"),
        (answer(307, ""), "redirects to another address"),
        (answer(401, FAILURE), "refuses access"),
        (answer(404, NO_ROUTE), "This route does not exist"),
        (answer(404, HTML), "does not answer as this API"),
        (answer(404, {"message": "Missing Authentication Token"}), "Missing Authentication Token"),
        (answer(405, HTML), "does not answer as this API"),
        (answer(407, HTML), "status 407"),
        (answer(400, HTML), "does not answer as this API"),
        (answer(415, HTML), "does not answer as this API"),
        (answer(200, HTML), "does not answer as this API"),
        (answer(200, {"data": {}}), "does not answer as this API"),
        (answer(200, [1]), "does not answer as this API"),
        (answer(204, ""), "does not answer as this API"),
        (answer(429, FAILURE, Retry_After="3600"), "wait 1.0 hours"),
        (answer(429, FAILURE), "The image is damaged."),
    ],
)
def test_answers_about_the_access_or_the_request_stop_the_run(
    clock: Clock, response: httpx.Response, says: str
) -> None:
    with pytest.raises(RunError, match=says):
        client_of(Server(response), clock).send("POST", "api/images")
    assert clock.pauses == []
    # The first request has the same fate.
    with pytest.raises(RunError, match=says):
        client_of(Server(stats=response), clock).verify()


def test_after_a_403_a_harmless_request_tells_what_is_refused(clock: Clock) -> None:
    refusal = answer(403, FAILURE)
    with pytest.raises(RunError, match="refuses access"):
        client_of(Server(refusal, stats=refusal), clock).send("POST", "api/images")
    with pytest.raises(FileError, match="refused this request"):
        client_of(Server(refusal), clock).send("POST", "api/images")


def test_an_error_that_another_try_does_not_help_fails_one_file(clock: Clock) -> None:
    with pytest.raises(FileError, match="damaged"):
        client_of(Server(answer(500, FAILURE)), clock).send("POST", "api/images")
    assert clock.pauses == []


@pytest.mark.parametrize(
    "response", [answer(400, FAILURE), answer(413, FAILURE), answer(413, HTML), answer(415, FAILURE)]
)
def test_verdicts_on_the_file_are_returned(clock: Clock, response: httpx.Response) -> None:
    assert client_of(Server(response), clock).send("POST", "api/images") is response


def certificate_error() -> httpx.ConnectError:
    error = httpx.ConnectError("self-signed")
    error.request = httpx.Request("GET", URL)
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (httpx.ConnectError("Name or service not known"), "cannot be reached"),
        (httpx.ConnectTimeout("slow"), "cannot be reached"),
        (httpx.ProxyError("no proxy"), "cannot be reached"),
        (certificate_error(), "certificate of api.example is not trusted"),
    ],
)
def test_what_never_worked_stops_the_run_at_the_first_request(clock: Clock, error: Exception, says: str) -> None:
    with pytest.raises(RunError, match=says):
        client_of(Server(stats=error), clock).verify()
    assert clock.pauses == []


def test_a_certificate_that_is_no_longer_trusted_stops_the_run(clock: Clock) -> None:
    client = client_of(Server(certificate_error()), clock)
    client.verify()
    with pytest.raises(RunError, match="not trusted"):
        client.send("POST", "api/images")


def test_an_image_is_only_missing_if_the_api_says_so(clock: Clock) -> None:
    assert client_of(Server(answer(404, MISSING)), clock).image("1") is None
    for other in (answer(404, NO_ROUTE), answer(404, HTML), answer(403, FAILURE)):
        with pytest.raises((RunError, FileError)):
            client_of(Server(other), clock).image("1")
    for verdict in (answer(400, FAILURE), answer(413, HTML), answer(422, FAILURE)):
        with pytest.raises(FileError, match="refuses to answer"):
            client_of(Server(verdict), clock).image("1")


def test_it_waits_for_the_end_of_the_processing(clock: Clock) -> None:
    processing = {"current_status": "success", "data": {"image_status": "processing"}}
    finished = {"current_status": "success", "data": IMAGE}
    server = Server(answer(200, processing), answer(200, finished))
    assert client_of(server, clock).finished("1") == IMAGE
    assert server.requests[0].url.params["wait"] == "20"


@pytest.mark.parametrize(
    ("status", "error"), [(403, FormRefusedError), (400, FileError), (404, FileError), (503, UnreachableError)]
)
def test_what_s3_refuses_fails_one_file(clock: Clock, status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        client_of(Server(answer(status, "<Error/>")), clock).send_form("https://bucket.example/", dict)


def test_the_clock_is_that_of_the_api(clock: Clock) -> None:
    date = datetime(2031, 5, 1, tzinfo=UTC)
    client = client_of(Server(stats=answer(200, STATS, Date=format_datetime(date, usegmt=True))), clock)
    client.verify()
    assert client.now() == pytest.approx(date.timestamp(), abs=10)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("\ufeffBearer first\n")
    return file


def test_a_token_that_has_ended_is_read_again(clock: Clock, token_file: Path) -> None:
    sent = []

    def api(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"])
        # Another worker may have read the new token already.
        token_file.write_text("second")
        return answer(200, IMAGE) if sent[-1] == "Bearer second" else answer(401, FAILURE)

    client = client_of(api, clock, credentials=of(None, token_file, None))
    assert client.send("POST", "api/images", lambda: {"files": {"file": b"x"}}).json() == IMAGE
    assert sent == ["Bearer first", "Bearer second"]


def test_a_token_that_stays_refused_stops_the_run(clock: Clock, token_file: Path) -> None:
    with pytest.raises(RunError, match="refuses access"):
        client_of(Server(answer(401, FAILURE)), clock, credentials=of(None, token_file, None)).send("GET", "api/images")
    token_file.unlink()
    with pytest.raises(CredentialsError, match="cannot be read"):
        of(None, token_file, None)


def test_credentials_are_not_sent_to_s3(clock: Clock, token_file: Path) -> None:
    server = Server(answer(204, ""))
    client_of(server, clock, credentials=of(None, token_file, None)).send_form("https://bucket.example/", dict)
    assert "Authorization" not in server.requests[0].headers


def test_the_kind_of_credentials_is_chosen(
    clock: Clock, token_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert type(of(None, None, None)) is Credentials
    monkeypatch.setenv("IMAGE_PIPELINE_API_KEY", "a-key")
    server = Server(answer(200, IMAGE))
    found = of(None, None, None)
    assert isinstance(found, Secret)
    client_of(server, clock, credentials=found).send("GET", "api/images")
    assert server.requests[0].headers["x-api-key"] == "a-key"
    with pytest.raises(CredentialsError, match="choose one of"):
        of(None, token_file, None)
    monkeypatch.delenv("IMAGE_PIPELINE_API_KEY")
    for content in (b"", b"two words", "a\u200bkey".encode(), b"\xff\xfe"):
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(CredentialsError):
            of(tmp_path / "key", None, None)


def test_the_body_of_a_request_is_made_for_each_try(clock: Clock) -> None:
    bodies: Iterator[dict[str, Any]] = iter([{"json": {"try": 1}}, {"json": {"try": 2}}])
    server = Server(answer(503), answer(200, IMAGE))
    client_of(server, clock).send("POST", "api/images", lambda: next(bodies))
    assert [json.loads(request.content) for request in server.requests] == [{"try": 1}, {"try": 2}]


def test_known_files_are_told_by_digest(clock: Clock) -> None:
    body = {"current_status": "success", "content": {}, "missing": [], "known": {"0" * 64: "1"}}
    server = Server(answer(503, FAILURE), answer(200, body))
    assert client_of(server, clock).known(["0" * 64, "1" * 64]) == {"0" * 64: "1"}
    assert json.loads(server.requests[-1].content) == {"sha256": ["0" * 64, "1" * 64]}


@pytest.mark.parametrize(
    "refusal",
    [
        answer(400, FAILURE),
        answer(413, HTML),
        answer(403, {"message": "Forbidden"}),
        answer(200, {"current_status": "success", "content": {}, "missing": []}),
    ],
)
def test_an_api_that_does_not_tell_which_files_it_has_is_no_error(clock: Clock, refusal: httpx.Response) -> None:
    assert client_of(Server(refusal), clock).known(["0" * 64]) is None


def test_without_access_or_an_api_no_file_is_known(clock: Clock) -> None:
    for server in (Server(answer(401, FAILURE)), Server(answer(404, HTML)), Server(answer(302, Location="/"))):
        with pytest.raises(RunError):
            client_of(server, clock).known(["0" * 64])

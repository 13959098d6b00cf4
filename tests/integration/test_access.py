"""Who may call the API with each value of the parameter ApiAuth: the table in docs/api.md, for every value.

Each row is compared with the local API, and with the gateway responses of the transformed template.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from functions.authorize import app as authorizer
from tests import oidc_issuer
from tests.contract.client import Client
from tests.pictures import scene_png
from tests.routes import declared
from tests.transformed import transform
from tools import template
from tools.local import access, server, signatures
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample
from tools.local.serve import curl_command

MODES = ["NONE", "API_KEY", "JWT", "AWS_IAM"]
PAGE = "https://app.example"
# An image is deleted last, because the other routes need it.
ROUTES = [
    ("GET", f"/api/images/{IMAGE_ID.upper()}"),
    ("GET", "/api/images?q=a%20b%2Bc&limit=3&details=caption"),
    *(
        (method, each.route.path.format(image_id=IMAGE_ID, size="small"))
        for each in sorted(declared(), key=lambda each: each.route.method == "DELETE")
        for method in each.methods
    ),
]
# With credentials, a POST gets 400, because it has no body here.
STATUS = {"POST": 400}
PUBLIC = ["/", "/docs", "/openapi.json"]
UNKNOWN = [("GET", "/api/nothing"), ("PUT", "/api/images"), ("GET", "/api/images/check")]
# The texts of the table.
ROUTE_STATUS, ANY_ERROR = "that of the route", "words of API Gateway"


@dataclass(frozen=True)
class Api:
    """The local API with a value of ApiAuth. `issuer` is that of its tokens."""

    mode: str
    client: Client
    issuer: oidc_issuer.Issuer

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> requests.Response:
        headers = {"Origin": PAGE, **headers}
        return requests.request(
            method, self.client.url + path, headers=headers, data=body, timeout=30, allow_redirects=False
        )


@pytest.fixture(scope="module", params=MODES)
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    authorizer.trusted_keys.cache_clear()
    with oidc_issuer.running() as issuer:
        issuer.add_key("first")
        parameters = {"ApiAuth": request.param, "JwtIssuer": issuer.url, "AllowedOrigins": PAGE}
        with server.run(parameters=parameters) as running:
            yield Api(request.param, Client(running.url), issuer)


# Makes the headers of a request from its method, its URL and its body.
Credential = Callable[[str, str, bytes], dict[str, str]]


def always(**headers: str) -> Credential:
    return lambda *_: {name.replace("_", "-"): value for name, value in headers.items()}


def signed(
    key_id: str = signatures.ACCESS_KEY_ID,
    secret: str = signatures.SECRET_ACCESS_KEY,
    service: str = signatures.SERVICE,
    age: timedelta = timedelta(),
    **changes: str,
) -> Credential:
    """Return a signature of AWS. `changes` are made in the headers after that."""

    def headers(method: str, url: str, body: bytes) -> dict[str, str]:
        request = AWSRequest(method, url, data=body)
        signer = SigV4Auth(Credentials(key_id, secret), service, "us-east-1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("botocore.auth.get_current_datetime", lambda: datetime.now(UTC).replace(tzinfo=None) - age)
            signer.add_auth(request)
        return dict(request.headers) | {name.replace("_", "-"): value for name, value in changes.items()}

    return headers


def of_another_request(method: str, url: str, body: bytes) -> dict[str, str]:
    return signed()(method, f"{url}/", body)


def of_another_body(method: str, url: str, body: bytes) -> dict[str, str]:
    return signed()(method, url, body + b"x")


def valid(api: Api) -> Iterator[Credential]:
    match api.mode:
        case "NONE":
            yield always()
            yield always(x_api_key="any", Authorization="any")
        case "API_KEY":
            yield always(x_api_key=access.API_KEY)
            yield always(X_API_KEY=access.API_KEY)
        case "JWT":
            token = api.issuer.token("first")
            yield always(Authorization=f"Bearer {token}")
            yield always(authorization=f"BEARER  {token}")
        case "AWS_IAM":
            yield signed()
            yield signed(age=timedelta(minutes=4))


def without_key(_: Api) -> Iterator[Credential]:
    yield always()
    yield always(x_api_key="")
    yield always(x_api_key=f"{access.API_KEY}x")
    yield always(Authorization=access.API_KEY)


def without_token(api: Api) -> Iterator[Credential]:
    token, expired = api.issuer.token("first"), api.issuer.token("first", exp=-60)
    yield always()
    yield always(x_api_key=token)
    for authorization in ("", "Bearer", f"Basic {token}", f"Bearer {token}x", f"Bearer {expired}"):
        yield always(Authorization=authorization)


def while_the_issuer_fails(api: Api) -> Iterator[Credential]:
    authorizer.trusted_keys.cache_clear()
    api.issuer.status = 503
    try:
        yield always(Authorization=f"Bearer {api.issuer.token('first')}")
    finally:
        api.issuer.status = 200
        authorizer.trusted_keys.cache_clear()


def without_signature(_: Api) -> Iterator[Credential]:
    yield always()
    yield always(x_api_key=access.API_KEY)


def with_wrong_signature(_: Api) -> Iterator[Credential]:
    yield always(Authorization="Bearer x")
    yield always(Authorization="AWS4-HMAC-SHA256 x")
    yield signed(key_id="another-key-id")
    yield signed(secret="another secret")
    yield signed(service="s3")
    yield signed(age=timedelta(minutes=6))
    yield signed(age=-timedelta(minutes=6))
    yield signed(X_Amz_Date="20261129T000000Z")
    yield signed(X_Amz_Content_Sha256="0" * 64)
    yield of_another_request
    yield of_another_body


def nothing(_: Api) -> Iterator[Credential]:
    """The local API has no quota, no throttling and no firewall."""
    yield from ()


@dataclass(frozen=True)
class Case:
    """How requests of a row are made. `response` is its gateway response, with the status that AWS gives it."""

    response: str
    status: int
    credentials: Callable[[Api], Iterator[Credential]] = nothing
    routes: tuple[tuple[str, str], ...] = tuple(ROUTES)


CASES = {
    ("API_KEY", "without a key, or with a wrong one"): Case("INVALID_API_KEY", 403, without_key),
    ("API_KEY", "over the daily quota of the key"): Case("QUOTA_EXCEEDED", 429),
    ("JWT", "without a token, or with one that is not valid"): Case("UNAUTHORIZED", 401, without_token),
    ("JWT", "while the keys of the issuer cannot be read"): Case("AUTHORIZER_FAILURE", 500, while_the_issuer_fails),
    ("AWS_IAM", "without a signature, or to an unknown route"): Case(
        "MISSING_AUTHENTICATION_TOKEN", 403, without_signature, (*ROUTES, *UNKNOWN)
    ),
    ("AWS_IAM", "with a wrong signature"): Case("INVALID_SIGNATURE", 403, with_wrong_signature),
    ("AWS_IAM", "with an old signature"): Case("EXPIRED_TOKEN", 403),
    ("AWS_IAM", "that no policy allows"): Case("ACCESS_DENIED", 403),
    ("NONE", "to an unknown route"): Case("MISSING_AUTHENTICATION_TOKEN", 404, valid, tuple(UNKNOWN)),
    ("API_KEY", "to an unknown route"): Case("MISSING_AUTHENTICATION_TOKEN", 404, without_key, tuple(UNKNOWN)),
    ("JWT", "to an unknown route"): Case("MISSING_AUTHENTICATION_TOKEN", 404, without_token, tuple(UNKNOWN)),
    **{(mode, "above the rate limit"): Case("THROTTLED", 429) for mode in MODES},
    **{(mode, "that the firewall refuses"): Case("WAF_FILTERED", 403) for mode in MODES},
}


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    modes: str
    request: str
    status: str
    challenge: str
    retry_after: str
    error: str


def table() -> list[Row]:
    text = Path("docs/api.md").read_text().partition("\n## Access\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (.+) \|$", text, re.MULTILINE)[1:]
    return [Row(*(cell.strip().replace("`", "") for cell in line.split("|"))) for line in lines]


def rows(mode: str) -> list[Row]:
    return [row for row in table() if mode in row.modes.split(", ")]


def expected(row: Row) -> tuple[int, str, str, str]:
    return int(row.status), row.challenge, row.retry_after, row.error


def shown(row: Row, status: int, headers: Any, body: Any) -> tuple[int, str, str, str]:
    """Return what the table says of a response. Assert what all refusals have."""
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Type"] == "application/json"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Access-Control-Expose-Headers"] == "Retry-After, WWW-Authenticate"
    error = row.error
    if body is not None:  # HEAD
        assert (list(body), body["current_status"]) == (["current_status", "error"], "failure")
        assert body["error"]
        if error != ANY_ERROR:
            error = body["error"]
    return status, headers.get("WWW-Authenticate", ""), headers.get("Retry-After", ""), error


def transformed(**parameters: object) -> template.Template:
    """Return the body of the API as SAM deploys it, where tools/local/access.py looks for it."""
    body = transform(template.read(parameters))["Api"]["Properties"]["Body"]
    return {"Resources": {"Api": {"Properties": {"DefinitionBody": body}}}}


def test_the_table_has_a_row_for_each_case() -> None:
    refusals = [(mode, row.request) for mode in MODES for row in rows(mode) if row.status != ROUTE_STATUS]
    assert sorted(refusals) == sorted(CASES)
    assert [row.modes for row in table() if row.status == ROUTE_STATUS] == MODES


def test_each_mode_is_as_documented(api: Api) -> None:
    deployed = transformed(ApiAuth=api.mode, AllowedOrigins=PAGE)
    for row in rows(api.mode):
        if row.status == ROUTE_STATUS:
            check_access(api)
        else:
            case = CASES[api.mode, row.request]
            described = access.gateway_response(deployed, case.response, case.status)
            assert shown(row, described.status_code, described.headers, described.json) == expected(row), row
            for credential in case.credentials(api):
                check_refusal(api, row, case, credential)


def check_access(api: Api) -> None:
    credential, *others = valid(api)
    store_sample(sample_image(IMAGE_ID))
    for method, path in ROUTES:
        response = api.send(method, path, credential(method, api.client.url + path, b""))
        assert response.status_code == STATUS.get(method, 200), (method, path, response.text)
    wanted, path = b'{"content_type": "image/png"}', "/api/uploads"
    response = api.send("POST", path, credential("POST", api.client.url + path, wanted), wanted)
    assert response.status_code == requests.codes.created
    form = requests.Request("POST", f"{api.client.url}/api/images", files={"file": ("a.png", scene_png())}).prepare()
    assert isinstance(form.body, bytes)
    headers = {"Content-Type": form.headers["Content-Type"], **credential("POST", str(form.url), form.body)}
    assert api.send("POST", "/api/images", headers, form.body).status_code == requests.codes.ok
    for other in others:
        assert api.send("GET", "/api/stats", other("GET", f"{api.client.url}/api/stats", b"")).ok


def check_refusal(api: Api, row: Row, case: Case, credential: Credential) -> None:
    for method, path in case.routes:
        response = api.send(method, path, credential(method, api.client.url + path, b""))
        body = None if method == "HEAD" else response.json()
        assert shown(row, response.status_code, response.headers, body) == expected(row), (row, method, path)


@pytest.mark.parametrize("mode", MODES)
def test_without_allowed_origins_no_page_may_read_errors(mode: str) -> None:
    deployed = transformed(ApiAuth=mode)
    for case in CASES.values():
        described = access.gateway_response(deployed, case.response, case.status)
        assert not [name for name, _ in described.headers if name.startswith("Access-Control")]


def test_pages_and_preflights_need_no_credential(api: Api) -> None:
    for path in PUBLIC:
        assert api.send("GET", path, {}).ok
    preflight = api.send("OPTIONS", "/api/images", {"Access-Control-Request-Method": "POST"})
    assert preflight.status_code == requests.codes.no_content
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower().split(", ")
    for credential in valid(api):
        assert {name.lower() for name in credential("POST", f"{api.client.url}/api/images", b"")} <= set(allowed)
    # A client with temporary credentials of AWS, or a library that always hashes the body, sends these too.
    if api.mode == "AWS_IAM":
        assert {"x-amz-security-token", "x-amz-content-sha256"} <= set(allowed)


def test_the_document_describes_the_refusal_of_each_operation(api: Api) -> None:
    document = api.send("GET", "/openapi.json", {}).json()
    described = {row.status for row in rows(api.mode) if row.request.startswith(("without", "with "))}
    refusing = {status for status in described if status in {"401", "403"}}
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        assert {status for status in operation["responses"] if status in {"401", "403"}} == refusing
    assert bool(document.get("security")) == bool(refusing)


def test_the_command_that_make_serve_shows_works(api: Api) -> None:
    environment = os.environ | {"TOKEN": api.issuer.token("first")}
    command = f"{curl_command(api.client.url, api.mode)} --silent --show-error --fail"
    shown = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert '"success"' in shown.stdout


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8000", 421),
        ("", 421),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8000", 200),
        ("192.0.2.1", 200),
    ],
)
def test_a_page_whose_name_leads_to_this_machine_cannot_use_the_api(api: Api, host: str, status: int) -> None:
    for path in PUBLIC:
        response = api.send("GET", path, {"Host": host})
        assert response.status_code == status
        assert status == requests.codes.ok or "This host is not the local API" in response.text

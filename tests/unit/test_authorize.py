"""The Lambda authorizer, with tokens of an issuer on this machine."""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.warnings import InsecureKeyLengthWarning

from functions.authorize import app
from image_pipeline import renewal
from image_pipeline.http import owners
from tests.oidc_issuer import AUDIENCE, Issuer
from tools.local.gateway import LocalContext

DAY = 86_400
ARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef/prod/GET/api/images"


@pytest.fixture(autouse=True)
def settings_of_the_issuer(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_ISSUER", issuer.url)
    monkeypatch.setenv("JWT_AUDIENCE", f"another-client, , {AUDIENCE}")
    monkeypatch.setenv("JWT_MAX_KEY_AGE_HOURS", "24")
    monkeypatch.setenv("OWNERS", "shared")
    monkeypatch.setenv("OWNER_CLAIM", "sub")


class Clock:
    """The clock of the authorizer, which can be set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._start = time.monotonic()
        self._monkeypatch = monkeypatch

    def after(self, seconds: float) -> None:
        now = self._start + seconds
        self._monkeypatch.setattr(renewal, "monotonic", lambda: now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(monkeypatch)
    clock.after(0)
    return clock


def authorize(token: str, scheme: str = "Bearer") -> dict[str, Any]:
    event = {"type": "TOKEN", "methodArn": ARN, "authorizationToken": f"{scheme} {token}"}
    policy: dict[str, Any] = app.lambda_handler(event, LocalContext("AuthorizeFunction"))
    return policy


def refused(token: str, scheme: str = "Bearer") -> bool:
    """Tell whether API Gateway returns 401: the handler raises an error with the message "Unauthorized"."""
    with pytest.raises(app.UnauthorizedError, match=r"^Unauthorized$"):
        authorize(token, scheme)
    return True


def test_a_valid_token_may_call_every_route_of_the_stage(issuer: Issuer) -> None:
    policy = authorize(issuer.token("first"))
    assert policy["principalId"] == "a-user"
    # API Gateway keeps the policy for later requests with this token, also to other routes.
    assert policy["policyDocument"]["Statement"] == [
        {
            "Action": "execute-api:Invoke",
            "Effect": "Allow",
            "Resource": "arn:aws:execute-api:us-east-1:123456789012:abcdef/prod/*",
        }
    ]


RSA_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]


@pytest.mark.parametrize("algorithm", [*RSA_ALGORITHMS, "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"])
@pytest.mark.parametrize("changes", [{}, {"alg": None}, {"use": None, "key_ops": ["verify"]}], ids=str)
def test_each_kind_of_key_pair_can_sign(issuer: Issuer, algorithm: str, changes: dict[str, Any]) -> None:
    issuer.add_key("other", algorithm)
    issuer.key_changes = changes
    assert authorize(issuer.token("other"))
    assert authorize(issuer.token("first"))


@pytest.mark.parametrize(("algorithm", "described"), [("Ed25519", "EdDSA"), ("EdDSA", "Ed25519")])
def test_both_names_of_an_edwards_curve_mean_the_same(issuer: Issuer, algorithm: str, described: str) -> None:
    issuer.add_key("other", algorithm)
    issuer.key_changes = {"alg": described}
    assert authorize(issuer.token("other"))


def test_a_key_verifies_only_with_its_algorithm(issuer: Issuer) -> None:
    key, _ = issuer.keys["first"]
    assert refused(jwt.encode(issuer.claims(), key, "RS512", {"kid": "first"}))
    assert refused(jwt.encode(issuer.claims(), key, "PS256", {"kid": "first"}))


def test_keys_with_the_same_id_are_told_apart_by_type_and_algorithm(issuer: Issuer) -> None:
    for key_id, algorithm in {"rsa": "RS512", "curve": "ES256", "edwards": "EdDSA"}.items():
        issuer.add_key(key_id, algorithm)
    issuer.key_changes = {"kid": "first"}
    tokens = [issuer.token(key_id, {"kid": "first"}) for key_id in issuer.keys]
    assert all(authorize(token) for token in tokens)
    # Also if only the signature tells which of two keys is meant.
    issuer.add_key("twin", "RS256")
    app.trusted_keys.cache_clear()
    assert authorize(issuer.token("first"))
    assert authorize(issuer.token("twin", {"kid": "first"}))


def test_a_token_without_a_key_id_is_for_the_only_key_that_fits(issuer: Issuer) -> None:
    issuer.add_key("curve", "ES256")
    tokens = [jwt.encode(issuer.claims(), *issuer.keys[key_id]) for key_id in issuer.keys]
    assert all(authorize(token) for token in tokens)
    issuer.add_key("second")
    app.trusted_keys.cache_clear()
    assert refused(tokens[0])  # two keys fit
    assert authorize(tokens[1])


def test_a_key_without_an_id_is_for_a_token_with_any_id(issuer: Issuer, clock: Clock) -> None:
    issuer.key_changes = {"kid": None}
    assert authorize(issuer.token("first"))
    # A new key is found, although no id tells that it is new.
    issuer.keys.clear()
    issuer.add_key("second")
    clock.after(31)
    assert authorize(issuer.token("second"))


@pytest.mark.parametrize(
    "odd",
    [
        "text",
        None,
        [],
        {},
        {"kty": []},
        {"kty": "RSA"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": ["P-256"]},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        {"kty": "new type", "kid": "other"},
        {"alg": 5},
        {"alg": ["RS256"]},
        {"alg": "RSA-OAEP"},
        {"kid": 5},
        {"kid": {}},
        {"use": "enc"},
        {"use": 5},
        {"key_ops": 5},
        {"key_ops": ["encrypt"]},
        {"x5c": 5, "n": "é"},
    ],
    ids=str,
)
def test_a_key_that_cannot_be_used_is_skipped(issuer: Issuer, odd: Any) -> None:
    issuer.add_key("other")
    other = issuer.public_key("other")
    issuer.further_keys = [{**other, **odd} if isinstance(odd, dict) and "kty" not in odd and odd else odd]
    del issuer.keys["other"]
    assert authorize(issuer.token("first"))


def test_a_key_that_cannot_be_read_is_logged_once(issuer: Issuer, logged: StringIO) -> None:
    issuer.further_keys = [{"kty": "RSA", "n": 5, "e": "AQAB", "kid": "broken, and named in the log"}]
    for _ in range(3):
        app.trusted_keys.cache_clear()
        assert authorize(issuer.token("first"))
    assert logged.getvalue().count("broken, and named in the log") == 1


def test_a_key_that_is_too_short_is_skipped(issuer: Issuer) -> None:
    issuer.keys["short"] = (rsa.generate_private_key(65537, 1024), "RS256")
    assert authorize(issuer.token("first"))
    with pytest.warns(InsecureKeyLengthWarning):
        token = issuer.token("short")
    assert refused(token)


def test_the_log_has_only_the_beginning_of_what_a_client_sends(issuer: Issuer, logged: StringIO) -> None:
    assert refused(issuer.token("first", {"typ": "x" * 9000 + "+jwt"}))
    assert "the type of the token is xxx" in logged.getvalue()
    assert len(logged.getvalue()) < 1000


@pytest.mark.parametrize(
    "header",
    [
        {"alg": []},
        {"alg": {}},
        {"alg": None},
        {"kid": 5},
        {"kid": None},
        {"crit": ["exp"], "exp": 5},
        {"crit": [[]]},
        {"b64": False, "crit": ["b64"]},
        b"[" * 100_000,
        b"\xff\xfe\xfd",
    ],
    ids=lambda header: str(header)[:30],
)
def test_an_odd_header_is_refused(issuer: Issuer, header: Any) -> None:
    if isinstance(header, dict):
        header = json.dumps({"alg": "RS256", "kid": "first"} | header).encode()
    assert refused(_signed(issuer, header, json.dumps(issuer.claims()).encode()))


@pytest.mark.parametrize(
    "payload",
    [b"[]", b'{"a":' * 100_000, b"\xff\xfe\xfd", *(b'{"exp":%b}' % exp for exp in (b"1e400", b"NaN", b'"x"', b"[]"))],
    ids=lambda payload: str(payload)[:20],
)
def test_an_odd_payload_is_refused(issuer: Issuer, payload: bytes) -> None:
    assert authorize(_signed(issuer, b'{"alg":"RS256","kid":"first"}', json.dumps(issuer.claims()).encode()))
    claims = json.dumps(issuer.claims(exp=None)).encode()
    payload = claims[:-1] + b"," + payload[1:] if payload.startswith(b'{"exp"') else payload
    assert refused(_signed(issuer, b'{"alg":"RS256","kid":"first"}', payload))


def _signed(issuer: Issuer, header: bytes, payload: bytes) -> str:
    """Return a token with bytes that PyJWT would not sign."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload)]
    rsa_sha256 = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    signature = rsa_sha256.sign(b".".join(parts), issuer.keys["first"][0])
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize(
    ("changes", "principal"),
    [
        ({}, "a-user"),
        ({"sub": None, "azp": "a-client"}, "a-client"),  # Keycloak 25, without the scope basic
        ({"sub": "", "client_id": "a-client"}, "a-client"),
        ({"sub": None, "azp": 5}, "unknown"),
        ({"sub": None}, "unknown"),
    ],
)
def test_the_principal_is_never_empty(issuer: Issuer, changes: dict[str, Any], principal: str) -> None:
    assert authorize(issuer.token("first", **changes))["principalId"] == principal


def test_the_owner_is_a_text_in_the_claim(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert authorize(issuer.token("first"))["context"] == {"owner": owners.of_token(issuer.url, "sub", "a-user")}
    monkeypatch.setenv("OWNER_CLAIM", "oid")
    named = authorize(issuer.token("first", oid="a-person"))
    assert named["context"] == {"owner": owners.of_token(issuer.url, "oid", "a-person")}
    for other in (None, "", 5, ["a-person"], {"a": "person"}):
        token = issuer.token("first", oid=other)
        monkeypatch.setenv("OWNERS", "shared")
        assert authorize(token)["context"] == {}
        monkeypatch.setenv("OWNERS", "caller")
        assert refused(token)


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT", None])
def test_an_access_token_or_a_token_without_a_purpose_is_accepted(issuer: Issuer, kind: str | None) -> None:
    assert authorize(issuer.token("first", {"typ": kind}))


@pytest.mark.parametrize("kind", ["logout+jwt", "application/logout+jwt", "secevent+jwt", "dpop+jwt"])
def test_a_token_for_another_purpose_is_refused(issuer: Issuer, kind: str) -> None:
    assert refused(issuer.token("first", {"typ": kind}))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": -60},
        {"exp": None},
        {"nbf": 120},
        {"iat": 120},
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "somebody else"},
        {"aud": None},
        {"aud": []},
        {"aud": [{}]},
        {"aud": ""},
        {"aud": None, "client_id": "somebody else"},
        {"aud": "somebody else", "client_id": AUDIENCE},
        {"sub": 5},
        {"token_use": "id"},  # an ID token of Amazon Cognito
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(issuer: Issuer, changes: dict[str, Any]) -> None:
    assert refused(issuer.token("first", **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": -5},  # within the leeway
        {"aud": ["somebody else", AUDIENCE]},
        {"aud": "another-client"},
        {"aud": None, "client_id": AUDIENCE},  # an access token of Amazon Cognito
    ],
    ids=str,
)
def test_a_token_with_an_unusual_claim_is_accepted(issuer: Issuer, changes: dict[str, Any]) -> None:
    assert authorize(issuer.token("first", **changes))


def test_a_token_without_signature_is_refused(issuer: Issuer) -> None:
    assert refused(jwt.encode(issuer.claims(), "", "none", {"kid": "first"}))
    header, payload, _ = issuer.token("first").split(".")
    assert refused(f"{header}.{payload}.")


def test_a_changed_token_is_refused(issuer: Issuer) -> None:
    header, _, signature = issuer.token("first").split(".")
    payload = base64.urlsafe_b64encode(json.dumps(issuer.claims(sub="admin")).encode()).decode().rstrip("=")
    assert refused(f"{header}.{payload}.{signature}")


def test_a_token_signed_by_somebody_else_is_refused(issuer: Issuer) -> None:
    other = rsa.generate_private_key(65537, 2048)
    assert refused(jwt.encode(issuer.claims(), other, "RS256", {"kid": "first"}))
    assert refused(jwt.encode(issuer.claims(), other, "RS256", {"kid": "unknown"}))
    assert refused(jwt.encode(issuer.claims(), other, "RS256"))
    # The token brings a key of its own.
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(other.public_key()))
    assert refused(jwt.encode(issuer.claims(), other, "RS256", {"jwk": jwk, "kid": "first"}))


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_the_public_key_is_no_shared_secret(issuer: Issuer, encoding: Encoding) -> None:
    public, _ = issuer.keys["first"]
    secret = public.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    # PyJWT refuses to sign with a public key, so this is done by hand.
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT", "kid": "first"}, issuer.claims())
    ]
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(b".".join(parts), secret)
    token = b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()
    assert refused(token)


def test_a_shared_secret_among_the_public_keys_is_ignored(issuer: Issuer) -> None:
    secret = "x" * 32
    encoded = base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
    issuer.further_keys = [
        {"kty": "oct", "k": encoded, "kid": "secret", "alg": "HS256"},
        {"kty": "RSA", "n": "not a number", "e": "AQAB", "kid": "broken", "use": "sig"},
    ]
    assert refused(jwt.encode(issuer.claims(), secret, "HS256", {"kid": "secret"}))
    assert authorize(issuer.token("first"))


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "....", "é.é.é", "\ud800.a.b", "x" * 10_000])
def test_something_else_than_a_token_is_refused(issuer: Issuer, token: str) -> None:
    assert refused(token)
    assert issuer.reads == 0  # refused before any key is read


def test_another_scheme_is_refused(issuer: Issuer) -> None:
    assert refused(issuer.token("first"), "Basic")
    assert authorize(issuer.token("first"), "bearer")
    assert authorize(issuer.token("first"), "BEARER ")


def test_a_new_key_of_the_issuer_is_found_and_a_withdrawn_one_is_forgotten(issuer: Issuer, clock: Clock) -> None:
    old = issuer.token("first")
    assert authorize(old)
    issuer.add_key("second")
    del issuer.keys["first"]
    clock.after(31)
    assert authorize(old)  # not yet forgotten
    assert authorize(issuer.token("second"))
    assert refused(old)


def test_keys_are_read_again_within_15_minutes(issuer: Issuer, clock: Clock) -> None:
    token = issuer.token("first")
    for seconds, reads in ((0, 1), (590, 1), (610, 2), (620, 2)):
        clock.after(seconds)
        assert authorize(token)
        assert issuer.reads == reads
    del issuer.keys["first"]
    issuer.add_key("second")
    clock.after(610 + 900)
    assert refused(token)


def test_keys_are_used_for_a_day_while_the_issuer_fails(issuer: Issuer, clock: Clock) -> None:
    token = issuer.token("first", exp=10 * DAY)
    assert authorize(token)
    issuer.status = 503
    for seconds in range(0, DAY, 300):
        clock.after(seconds)
        assert authorize(token)
    clock.after(DAY + 1)
    with pytest.raises(app.IssuerError, match="status 503 from"):
        authorize(token)
    issuer.status = 200
    clock.after(DAY + 302)
    assert authorize(token)


def test_a_failing_issuer_is_asked_less_and_less_often(issuer: Issuer, clock: Clock) -> None:
    assert authorize(issuer.token("first"))
    issuer.status = 503
    asked = []
    for seconds in range(600, 2000, 5):
        clock.after(seconds)
        before = issuer.requests
        assert authorize(issuer.token("first"))
        if issuer.requests > before:
            asked.append(seconds)
    assert asked == [605, 635, 695, 815, 1055, 1355, 1655, 1955]


def test_tokens_with_unknown_keys_do_not_make_us_ask_the_issuer_all_the_time(issuer: Issuer, clock: Clock) -> None:
    other = rsa.generate_private_key(65537, 2048)
    forged = [jwt.encode(issuer.claims(), other, "RS256", {"kid": f"unknown {number}"}) for number in range(20)]
    assert all(refused(token) for token in forged)
    assert issuer.requests == 2  # the document, and the keys
    issuer.status = 503
    clock.after(31)
    assert all(refused(token) for token in forged)
    assert issuer.requests == 3


def test_an_issuer_that_sends_slowly_is_not_waited_for(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "READ_SECONDS", 0.5)
    issuer.seconds_per_byte = 0.2
    start = time.monotonic()
    with pytest.raises(app.IssuerError, match=r"no response within 0\.5 s"):
        authorize(issuer.token("first"))
    with pytest.raises(app.IssuerError):  # without another try
        authorize(issuer.token("first"))
    assert time.monotonic() - start < 2


def test_all_requests_wait_for_the_keys_when_none_may_be_used(issuer: Issuer, clock: Clock) -> None:
    token = issuer.token("first", exp=10 * DAY)
    assert authorize(token)
    clock.after(DAY + 1)
    issuer.seconds_per_byte = 0.001
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(authorize, [token] * 8))
    assert issuer.reads == 2


def test_one_request_at_a_time_reads_the_keys(issuer: Issuer) -> None:
    issuer.seconds_per_byte = 0.002
    token = issuer.token("first")
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(authorize, [token] * 8))
    assert issuer.reads == 1


def test_the_address_of_the_discovery_document_can_be_set(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_ISSUER", "https://issuer.example/tenant/v2.0/")
    monkeypatch.setenv("JWT_DISCOVERY_URL", f"{issuer.url}/.well-known/openid-configuration")
    issuer.discovery_changes = {"issuer": "https://issuer.example/{tenantid}/v2.0"}
    # Keys over http are only for an issuer on this machine.
    with pytest.raises(app.IssuerError, match="no https URL"):
        authorize(issuer.token("first"))
    monkeypatch.setenv("JWT_ISSUER", "http://issuer.example/tenant/v2.0/")
    app.trusted_keys.cache_clear()
    assert authorize(issuer.token("first", iss="http://issuer.example/tenant/v2.0/"))


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [
        ("status", 503, "status 503 from"),
        ("status", 302, "status 302 from"),
        ("discovery_changes", {"issuer": "https://other.example"}, "is of 'https://other.example'; JwtIssuer must be"),
        ("discovery_changes", {"jwks_uri": None}, "no https URL: None"),
        ("discovery_changes", {"jwks_uri": 5}, "no https URL: 5"),
        ("discovery_changes", {"jwks_uri": "http://127.0.0.1:9/keys"}, "no response from"),
        ("key_changes", {"use": "enc"}, "no key for signatures from"),
    ],
)
def test_an_issuer_that_does_not_work_is_an_error_with_a_reason_and_no_permission(
    issuer: Issuer, attribute: str, value: Any, reason: str
) -> None:
    setattr(issuer, attribute, value)
    with pytest.raises(app.IssuerError, match=reason):
        authorize(issuer.token("first"))

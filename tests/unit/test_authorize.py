"""The Lambda authorizer, with tokens of an issuer on this machine."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from functions.authorize import app
from tests.oidc_issuer import AUDIENCE, Issuer
from tools.local.gateway import LocalContext

ARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef/prod/GET/api/images"


@pytest.fixture(autouse=True)
def settings_of_the_issuer(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_ISSUER", issuer.url)
    monkeypatch.setenv("JWT_AUDIENCE", f"another-client,{AUDIENCE}")


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


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "EdDSA"])
def test_each_kind_of_key_pair_can_sign(issuer: Issuer, algorithm: str) -> None:
    issuer.add_key("other", algorithm)
    assert authorize(issuer.token("other"))
    assert authorize(issuer.token("first"))


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
        {"aud": None, "client_id": "somebody else"},
        {"aud": "somebody else", "client_id": AUDIENCE},
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


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "....", "é.é.é", "x" * 10_000])
def test_something_else_than_a_token_is_refused(issuer: Issuer, token: str) -> None:
    assert refused(token)
    assert issuer.reads == 0  # refused before any key is read


def test_another_scheme_is_refused(issuer: Issuer) -> None:
    assert refused(issuer.token("first"), "Basic")
    assert authorize(issuer.token("first"), "bearer")


def test_a_new_key_of_the_issuer_is_found_and_a_withdrawn_one_is_forgotten(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = issuer.token("first")
    assert authorize(old)
    issuer.add_key("second")
    del issuer.keys["first"]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 31)
    assert authorize(old)  # not yet forgotten
    assert authorize(issuer.token("second"))
    assert refused(old)


def test_a_known_key_is_read_again_after_a_while(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issuer.token("first")
    now = time.monotonic()
    for seconds, reads in ((0, 1), (890, 1), (910, 2), (920, 2)):
        monkeypatch.setattr(time, "monotonic", lambda later=seconds: now + later)
        assert authorize(token)
        assert issuer.reads == reads


def test_tokens_with_unknown_keys_do_not_make_us_ask_the_issuer_all_the_time(issuer: Issuer) -> None:
    other = rsa.generate_private_key(65537, 2048)
    for number in range(20):
        assert refused(jwt.encode(issuer.claims(), other, "RS256", {"kid": f"unknown {number}"}))
    assert issuer.reads == 1


def test_an_issuer_that_does_not_respond_is_an_error_and_no_permission(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token("first")
    monkeypatch.setenv("JWT_ISSUER", "http://127.0.0.1:9")
    with pytest.raises(app.IssuerError, match="no JSON from"):
        authorize(token)
    monkeypatch.setenv("JWT_ISSUER", f"{issuer.url}/")  # spelled in another way
    with pytest.raises(app.IssuerError, match="another issuer"):
        authorize(token)


def test_an_issuer_that_returns_an_error_is_named_in_the_log(issuer: Issuer) -> None:
    issuer.status = 503
    with pytest.raises(app.IssuerError, match="status 503 from"):
        authorize(issuer.token("first"))

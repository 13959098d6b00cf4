"""Lambda authorizer of API Gateway: tells who a JSON Web Token belongs to, and whether it is valid.

Any provider of OpenID Connect can issue the tokens. Its public keys are read from the address in its discovery
document (OpenID Connect Discovery 1.0, section 4).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import jwt
import urllib3

from image_pipeline import settings
from image_pipeline.observability import logger

# Only algorithms with a key pair. If HS256 were allowed, anybody could sign a token with the public key as its secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_KEY_TYPES = ("RSA", "EC", "OKP")
# The clocks of the issuer and of Lambda may differ a little.
_LEEWAY_SECONDS = 30
_TIMEOUT_SECONDS = 3
# A key that the issuer has withdrawn is trusted no longer than this.
_FRESH_SECONDS = 900
# Tokens with unknown keys cause at most one read of the public keys in this time.
_PAUSE_SECONDS = 30


class UnauthorizedError(Exception):
    """API Gateway returns 401 if the message is exactly "Unauthorized"."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class IssuerError(Exception):
    """The public keys of the issuer cannot be read. API Gateway returns 500."""


@dataclass(frozen=True)
class _KeySet:
    by_id: Mapping[str | None, jwt.PyJWK]
    read_at: float

    @property
    def age(self) -> float:
        return time.monotonic() - self.read_at


_cached: _KeySet | None = None


@logger.inject_lambda_context
def lambda_handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes both
    try:
        claims = verified(event["authorizationToken"])
    except jwt.InvalidTokenError as error:
        logger.info("token refused", reason=type(error).__name__)
        raise UnauthorizedError from error
    return _policy(str(claims.get("sub", "")), event["methodArn"])


def verified(authorization: str) -> dict[str, Any]:
    """Return the claims of the token in an Authorization header. Raises jwt.InvalidTokenError and IssuerError."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise jwt.InvalidTokenError("not a bearer token")
    header = jwt.get_unverified_header(token)
    key = _key(header.get("kid"))
    # PyJWT checks the signature with the algorithm of the key, and ignores the algorithm that the token names.
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=ALGORITHMS,
        issuer=settings.jwt_issuer(),
        leeway=_LEEWAY_SECONDS,
        options={"require": ["exp", "iss"], "verify_aud": False},
    )
    # Access tokens of Amazon Cognito have `client_id` instead of `aud`.
    audience = claims.get("aud", claims.get("client_id"))
    audiences = audience if isinstance(audience, list) else [audience]
    if not set(settings.jwt_audiences()) & {name for name in audiences if isinstance(name, str)}:
        raise jwt.InvalidAudienceError("the token is for somebody else")
    return claims


def _key(key_id: str | None) -> jwt.PyJWK:
    """Return a key of the issuer. A new key is found within 30 s. A withdrawn one is forgotten within 15 minutes."""
    global _cached  # noqa: PLW0603 - kept for the next calls
    max_age = _FRESH_SECONDS if _cached and key_id in _cached.by_id else _PAUSE_SECONDS
    if _cached is None or _cached.age > max_age:
        _cached = _read_keys()
    try:
        return _cached.by_id[key_id]
    except KeyError:
        raise jwt.InvalidTokenError("no key of the issuer has this id") from None


def _read_keys() -> _KeySet:
    start = time.monotonic()
    issuer = settings.jwt_issuer()
    discovery = _read_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if discovery.get("issuer") != issuer:
        raise IssuerError("the discovery document is of another issuer; JwtIssuer must be spelled as in the document")
    keys = {}
    for described in _read_json(discovery["jwks_uri"])["keys"]:
        if described.get("kty") in _KEY_TYPES and described.get("use", "sig") == "sig":
            try:
                keys[described.get("kid")] = jwt.PyJWK(described)
            except jwt.PyJWTError:
                logger.warning("key skipped", key_id=described.get("kid"))
    return _KeySet(keys, start)


def _read_json(url: str) -> dict[str, Any]:
    try:
        response = urllib3.request("GET", url, timeout=_TIMEOUT_SECONDS, retries=1)
        document: dict[str, Any] = response.json()
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise IssuerError(f"no JSON from {url}") from error
    if response.status != HTTPStatus.OK:
        raise IssuerError(f"status {response.status} from {url}")
    return document


def _policy(principal: str, method_arn: str) -> dict[str, Any]:
    """Return a policy that allows the whole stage, because API Gateway keeps it for other requests with this token."""
    arn, stage, *_ = method_arn.split("/")
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{arn}/{stage}/*"}
    return {"principalId": principal, "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}

"""Lambda authorizer of API Gateway: tells who a JSON Web Token belongs to, and whether it is valid.

Any provider of OpenID Connect can issue the tokens. Its public keys are read from the address in its discovery
document (OpenID Connect Discovery 1.0, section 4).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from http import HTTPStatus
from typing import Any

import jwt
import urllib3
from jwt.algorithms import OKPAlgorithm

from image_pipeline import settings
from image_pipeline.http import owners
from image_pipeline.observability import logger
from image_pipeline.renewal import NotReadError, Renewed

# What keys of each type and curve can verify (RFC 7518, 8037 and 9864). All have a key pair: with HS256, anybody could
# sign a token with the public key as its secret.
_ALGORITHMS = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
    ("OKP", "Ed448"): ("EdDSA", "Ed448"),
}
# PyJWT knows only the older name of both.
for _name in ("Ed25519", "Ed448"):
    jwt.register_algorithm(_name, OKPAlgorithm())
_PUBLIC_PARAMETERS = {"kty", "n", "e", "crv", "x", "y"}
# The claims that name a client, in the order in which they are looked for. Some tokens have no subject.
_PRINCIPALS = ("sub", "client_id", "azp", "jti")
# The clocks of the issuer and of Lambda may differ a little.
_LEEWAY_SECONDS = 30
_SOCKET_SECONDS = 3
_MAX_BYTES = 1_000_000
_MAX_LOGGED_CHARACTERS = 200
# Keys are read again after this time. If that fails, there is time for more tries before a withdrawn key has been
# trusted for 15 minutes.
_RENEW_SECONDS = 600
_SECONDS_PER_HOUR = 3600


class UnauthorizedError(Exception):
    """API Gateway returns 401 if the message is exactly "Unauthorized"."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class IssuerError(Exception):
    """The public keys of the issuer cannot be read. API Gateway returns 500."""


@dataclass(frozen=True)
class _Key:
    id: object
    algorithms: tuple[str, ...]
    public: Any


@logger.inject_lambda_context
def lambda_handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes both
    try:
        claims = verified(event["authorizationToken"])
        owner = _owner(claims)
    except jwt.InvalidTokenError as error:
        logger.info("token refused", reason=str(error)[:_MAX_LOGGED_CHARACTERS])
        raise UnauthorizedError from error
    return _policy(_principal(claims), event["methodArn"]) | {"context": owner}


def verified(authorization: str) -> dict[str, Any]:
    """Return the claims of the token in an Authorization header. Raises jwt.InvalidTokenError and IssuerError."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token.isascii():
        raise jwt.InvalidTokenError("not a bearer token")
    header = jwt.get_unverified_header(token)
    _check_type(header.get("typ"))
    key_id, algorithm = header.get("kid"), header.get("alg")
    try:
        claims = _claims(token, algorithm, _fitting(_read(newer=False), key_id, algorithm))
    except jwt.InvalidSignatureError:
        # The issuer may have a new key.
        claims = _claims(token, algorithm, _fitting(_read(newer=True), key_id, algorithm))
    # Access tokens of Amazon Cognito have `client_id` instead of `aud`.
    audience = claims.get("aud", claims.get("client_id"))
    audiences = audience if isinstance(audience, list) else [audience]
    if not set(settings.jwt_audiences()) & {name for name in audiences if isinstance(name, str) and name}:
        raise jwt.InvalidAudienceError("the token is for somebody else")
    # Only tokens about an event have this claim, such as those that end a session (RFC 8417).
    if "events" in claims:
        raise jwt.InvalidTokenError("the token tells about an event")
    # Amazon Cognito gives access tokens too. Other issuers have only ID tokens (docs/identity-providers.md).
    if claims.get("token_use") == "id":
        raise jwt.InvalidTokenError("an ID token of Amazon Cognito")
    return claims


def _check_type(name: object) -> None:
    """Raise jwt.InvalidTokenError if the token says that it is for another purpose (RFC 8725, section 3.11)."""
    kind = str(name or "").lower().removeprefix("application/")
    if kind.endswith("+jwt") and kind != "at+jwt":
        raise jwt.InvalidTokenError(f"the type of the token is {kind}")


def _claims(token: str, algorithm: str | None, keys: Sequence[_Key]) -> dict[str, Any]:
    """Return the claims of a token that one of the keys has signed. Raises jwt.InvalidTokenError."""
    error = jwt.InvalidSignatureError("no key of the issuer fits")
    for key in keys:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=[str(algorithm)],
                issuer=settings.jwt_issuer(),
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss"], "verify_aud": False},
            )
        except jwt.InvalidSignatureError as wrong:
            error = wrong
        else:
            return claims
    raise error


def _fitting(keys: Sequence[_Key], key_id: object, algorithm: object) -> list[_Key]:
    """Return the keys of the issuer that can have signed a token.

    They have its key id. If there is none, this is the only key that can be meant: the token or the key has no id.
    """
    usable = [key for key in keys if algorithm in key.algorithms]
    named = [key for key in usable if key.id is not None and key.id == key_id]
    unnamed = usable if key_id is None else [key for key in usable if key.id is None]
    return named or (unnamed if len(unnamed) == 1 else [])


def _read(*, newer: bool) -> list[_Key]:
    """Return the keys of the issuer. Raises IssuerError."""
    try:
        return trusted_keys().get(newer=newer)
    except NotReadError as error:
        raise IssuerError(str(error)) from None


@cache
def trusted_keys() -> Renewed[list[_Key]]:
    """Return the keys of the issuer, which are read when somebody asks for them."""
    return Renewed(_read_keys, _RENEW_SECONDS, lambda: settings.jwt_max_key_age_hours() * _SECONDS_PER_HOUR)


def _read_keys() -> list[_Key]:
    issuer, address = settings.jwt_issuer(), settings.jwt_discovery_url()
    discovery = _read_json(address or f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    # Whoever sets the address of the document says that its keys are those of the issuer.
    if not address and discovery.get("issuer") != issuer:
        raise IssuerError(f"the discovery document is of {discovery.get('issuer')!r}; JwtIssuer must be spelled so")
    url = discovery.get("jwks_uri")
    # An issuer on this machine may use http. Its keys may be on another host, as those of Google and Entra ID are.
    if not isinstance(url, str) or (issuer.startswith("https:") and not url.startswith("https:")):
        raise IssuerError(f"the jwks_uri in the discovery document is no https URL: {url!r}")
    described = _read_json(url).get("keys")
    if not isinstance(described, list):
        raise IssuerError(f"no list of keys from {url}")
    found = [key for key in map(_key, described) if key]
    if not found:
        raise IssuerError(f"no key for signatures from {url}")
    return found


def _key(described: Any) -> _Key | None:  # noqa: ANN401 - JSON
    """Make a key from its description (RFC 7517). Return None if it is for another purpose or cannot be read."""
    try:
        key_type, algorithm, key_id = described["kty"], described.get("alg"), described.get("kid")
        if described.get("use", "sig") != "sig" or "verify" not in described.get("key_ops", ["verify"]):
            return None
        possible = _ALGORITHMS.get((key_type, described.get("crv")), ())
        # Both names of an algorithm for an OKP key mean the same.
        if algorithm and not (key_type == "OKP" and algorithm in possible):
            possible = tuple({algorithm} & set(possible))
        if not possible:
            return None
        # With its type and numbers alone, nothing else in the description can make it unreadable.
        numbers = {name: value for name, value in described.items() if name in _PUBLIC_PARAMETERS}
        # An id that is no text is the id of no token.
        key = jwt.PyJWK(numbers, possible[0])
        # RFC 7518 requires RSA keys of at least 2,048 bits. Signatures of short ones can be forged.
        if too_short := key.Algorithm.check_key_length(key.key):
            raise jwt.InvalidKeyError(too_short)
        return _Key(key_id, possible, key.key)
    except (AttributeError, KeyError, TypeError, ValueError, jwt.PyJWTError) as error:
        _log_skipped(str(described)[:_MAX_LOGGED_CHARACTERS], str(error))
        return None


@lru_cache(maxsize=100)  # once for each key
def _log_skipped(key: str, reason: str) -> None:
    logger.warning("key skipped", key=key, reason=reason)


def _read_json(url: str) -> dict[str, Any]:
    try:
        # The standard has no redirects, and one could lead to http.
        response = urllib3.request(
            "GET", url, timeout=_SOCKET_SECONDS, retries=1, redirect=False, preload_content=False
        )
        body = response.read(_MAX_BYTES + 1)
        response.release_conn()
        if response.status != HTTPStatus.OK:
            raise IssuerError(f"status {response.status} from {url}")
        document = json.loads(body)
    except urllib3.exceptions.HTTPError as error:
        raise IssuerError(f"no response from {url}") from error
    except ValueError as error:
        raise IssuerError(f"no JSON from {url}") from error
    if not isinstance(document, dict):
        raise IssuerError(f"no JSON object from {url}")
    return document


def _principal(claims: Mapping[str, Any]) -> str:
    """Return who the token belongs to. API Gateway returns 500 if it is empty."""
    return next((name for claim in _PRINCIPALS if isinstance(name := claims.get(claim), str) and name), "unknown")


def _owner(claims: Mapping[str, Any]) -> dict[str, str]:
    """Return what the functions are told about the owner. Raises jwt.InvalidTokenError if they need it."""
    name = settings.owner_claim()
    match claims.get(name):
        case str(value) if value:
            return {"owner": owners.of_token(settings.jwt_issuer(), name, value)}
    if settings.belong_to_callers():
        raise jwt.InvalidTokenError(f"the token has no text in the claim {name}, which names the owner")
    return {}


def _policy(principal: str, method_arn: str) -> dict[str, Any]:
    """Return a policy that allows the whole stage, because API Gateway keeps it for other requests with this token."""
    arn, stage, *_ = method_arn.split("/")
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{arn}/{stage}/*"}
    return {"principalId": principal, "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}

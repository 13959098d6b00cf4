"""Tokens and key sets with the shapes that identity providers document, signed by an issuer on this machine.

Nothing here was recorded from a provider. Each shape names the page that documents it.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.authorize import app
from tests.oidc_issuer import AUDIENCE, Issuer
from tests.unit.test_authorize import authorize, refused

# Entra ID changes each key so.
_ENTRA_KEYS = {"alg": None, "x5t": "a-thumbprint", "x5c": ["a certificate"]}


@dataclass(frozen=True)
class Shape:
    """A token. `principal` is who it belongs to, or None if the token is refused.

    `keys` is the number of keys for signatures in the key set.
    """

    principal: str | None
    claims: dict[str, Any]
    header: dict[str, Any] = field(default_factory=dict)
    keys: int = 2
    key_changes: dict[str, Any] = field(default_factory=dict)
    key_for_encryption: bool = False


# docs.aws.amazon.com/cognito/latest/developerguide: amazon-cognito-user-pools-using-the-access-token.html and
# ...-using-the-id-token.html. The header has no typ.
_COGNITO = {"auth_time": 1700000000, "origin_jti": "an-id", "jti": "another-id", "event_id": "an-event"}
# learn.microsoft.com/entra/identity-platform/access-token-claims-reference
_ENTRA = {"aio": "E2Y", "oid": "an-object", "tid": "a-tenant", "rh": "0.A", "uti": "u", "scp": "images.read", "nbf": 0}
# auth0.com/docs/secure/tokens/access-tokens/access-token-profiles
_AUTH0 = {"sub": "auth0|123456", "aud": [AUDIENCE, "https://tenant.example/userinfo"], "scope": "openid"}
# developer.okta.com/docs/api/openapi/okta-oauth/guides/overview
_OKTA = {"ver": 1, "jti": "AT.id", "cid": "a-client", "uid": "00u1", "scp": ["images"], "sub": "user@company.example"}
# keycloak.org/docs/latest/server_admin, sections "Audience support" and "Using lightweight access token".
_KEYCLOAK = {"typ": "Bearer", "azp": "a-client", "sid": "a-session", "jti": "onrtac:an-id", "scope": "openid"}
# firebase.google.com/docs/auth/admin/verify-id-tokens
_FIREBASE = {"auth_time": 1700000000, "user_id": "a-user", "firebase": {"sign_in_provider": "google.com"}}
# developers.google.com/identity/openid-connect/openid-connect, section "An ID token's payload".
_GOOGLE = {"azp": AUDIENCE, "sub": "10769150350006150715113082367", "at_hash": "h", "email": "jsmith@company.example"}
# openid.net/specs/openid-connect-backchannel-1_0.html, section 2.4
_LOGOUT = {"jti": "an-id", "sid": "a-session", "events": {"http://schemas.openid.net/event/backchannel-logout": {}}}

SHAPES = {
    "Cognito, access": Shape(
        "a-user",
        _COGNITO | {"aud": None, "client_id": AUDIENCE, "token_use": "access", "scope": "openid", "username": "u"},
        {"typ": None},
    ),
    "Cognito, access of a machine": Shape(
        AUDIENCE, {"aud": None, "sub": AUDIENCE, "client_id": AUDIENCE, "token_use": "access"}, {"typ": None}
    ),
    "Cognito, ID": Shape(
        None, _COGNITO | {"token_use": "id", "cognito:username": "u", "email": "u@company.example"}, {"typ": None}
    ),
    "Entra ID, version 1": Shape(
        "a-user",
        _ENTRA | {"ver": "1.0", "appid": "a-client", "appidacr": "1"},
        {"x5t": "a-thumbprint"},
        key_changes=_ENTRA_KEYS,
    ),
    "Entra ID, version 2": Shape(
        "a-user", _ENTRA | {"ver": "2.0", "azp": "a-client", "azpacr": "1"}, key_changes=_ENTRA_KEYS
    ),
    "Auth0": Shape("auth0|123456", _AUTH0 | {"azp": "a-client"}),
    "Auth0, RFC 9068": Shape("auth0|123456", _AUTH0 | {"client_id": "a-client", "jti": "an-id"}, {"typ": "at+jwt"}),
    "Okta, custom server": Shape("user@company.example", _OKTA, {"typ": None}, keys=1),
    # The article "Signature-Validation-Failed-on-Access-Token" on support.okta.com says that this header changed.
    "Okta, org server": Shape(None, _OKTA, {"typ": "application/okta-internal-at+jwt"}, keys=1),
    "Keycloak": Shape("a-user", _KEYCLOAK | {"aud": [AUDIENCE, "account"]}, keys=1, key_for_encryption=True),
    # keycloak.org/docs/latest/upgrading, section 25.0.0: the claim sub comes from the scope basic.
    "Keycloak 25, without basic": Shape("a-client", _KEYCLOAK | {"sub": None}, keys=1, key_for_encryption=True),
    "Keycloak, lightweight": Shape(
        "a-client", {"sub": None, "typ": "Bearer", "azp": "a-client", "jti": "an-id"}, keys=1, key_for_encryption=True
    ),
    "Keycloak, lightweight without audience": Shape(
        None, {"sub": None, "aud": None, "typ": "Bearer", "azp": AUDIENCE}, keys=1, key_for_encryption=True
    ),
    "Keycloak, logout": Shape(None, _LOGOUT | {"typ": "Logout"}, keys=1, key_for_encryption=True),
    "Firebase, ID": Shape("a-user", _FIREBASE),
    "Google, ID": Shape("10769150350006150715113082367", _GOOGLE),
    "OpenID Connect, logout": Shape(None, _LOGOUT, {"typ": "logout+jwt"}),
}


@pytest.fixture(autouse=True)
def settings_of_the_issuer(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_ISSUER", issuer.url)
    monkeypatch.setenv("JWT_AUDIENCE", AUDIENCE)
    monkeypatch.setenv("JWT_MAX_KEY_AGE_HOURS", "24")
    monkeypatch.setenv("OWNERS", "shared")
    monkeypatch.setenv("OWNER_CLAIM", "sub")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_token_of_a_provider_is_accepted_or_refused_as_documented(issuer: Issuer, shape: Shape) -> None:
    for number in range(1, shape.keys):
        issuer.add_key(f"further {number}")
    if shape.key_for_encryption:
        issuer.add_key("for encryption")
        issuer.further_keys = [issuer.public_key("for encryption", use="enc", alg="RSA-OAEP")]
        del issuer.keys["for encryption"]
    issuer.key_changes = shape.key_changes
    token = issuer.token("first", shape.header, **shape.claims)
    if shape.principal is None:
        assert refused(token)
    else:
        assert authorize(token)["principalId"] == shape.principal


# learn.microsoft.com/entra/identity-platform/access-tokens, section "Validate the issuer"
def test_the_document_for_all_tenants_of_entra_is_refused(issuer: Issuer) -> None:
    issuer.discovery_changes = {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}
    with pytest.raises(app.IssuerError, match=r"is of 'https://login\.microsoftonline\.com/\{tenantid\}/v2\.0'"):
        authorize(issuer.token("first"))


# learn.microsoft.com/azure/active-directory-b2c/tokens-overview: the policy is in the address, not in the issuer.
def test_azure_ad_b2c_has_its_document_at_another_address(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_ISSUER", f"{issuer.url}/tenant-id/v2.0/")
    monkeypatch.setenv("JWT_DISCOVERY_URL", f"{issuer.url}/.well-known/openid-configuration")
    issuer.key_changes = _ENTRA_KEYS
    claims: dict[str, Any] = {
        "iss": f"{issuer.url}/tenant-id/v2.0/",
        "tfp": "B2C_1_signin",
        "ver": "1.0",
        "azp": "a-client",
        "nbf": 0,
    }
    assert authorize(issuer.token("first", **claims))

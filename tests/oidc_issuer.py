"""An issuer of JSON Web Tokens on this machine, as OpenID Connect describes it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import OKPAlgorithm, get_default_algorithms
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from functions.authorize import app
from tools.local.request_handler import QuietRequestHandler, serving

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

AUDIENCE = "image-pipeline"
_NEW_KEYS: dict[str, Callable[[], Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}


@dataclass
class Issuer:
    """`keys` are the private keys by id, with their algorithms. `reads` counts how often the public keys were read.

    `key_changes` and `discovery_changes` are made in the documents. A member that is None is left out.
    `seconds_per_byte` makes each response slow.
    """

    url: str = ""
    keys: dict[str, tuple[Any, str]] = field(default_factory=dict)
    further_keys: list[Any] = field(default_factory=list)
    key_changes: dict[str, Any] = field(default_factory=dict)
    discovery_changes: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    reads: int = 0
    status: int = 200
    seconds_per_byte: float = 0

    def add_key(self, key_id: str, algorithm: str = "RS256") -> None:
        self.keys[key_id] = (_NEW_KEYS.get(algorithm, _new_rsa_key)(), algorithm)

    def token(self, key_id: str, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Return a token that is valid for an hour. See `claims` for `changes`."""
        key, algorithm = self.keys[key_id]
        return jwt.encode(self.claims(**changes), key, algorithm, {"kid": key_id, **(header or {})})

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a valid token with changes.

        Times are seconds from now. A claim that is None is left out.
        """
        claims = _present({"iss": self.url, "aud": AUDIENCE, "sub": "a-user", "iat": 0, "exp": 3600} | changes)
        now = int(time.time())
        return {name: value + now if name in {"exp", "nbf", "iat"} else value for name, value in claims.items()}

    def public_keys(self) -> list[Any]:
        return [self.public_key(key_id) for key_id in self.keys] + self.further_keys

    def public_key(self, key_id: str, **changes: Any) -> dict[str, Any]:
        """Return the description of a public key."""
        key, algorithm = self.keys[key_id]
        converter = get_default_algorithms().get(algorithm) or OKPAlgorithm()
        jwk = json.loads(converter.to_jwk(key.public_key()))
        return _present(jwk | {"kid": key_id, "use": "sig", "alg": algorithm} | self.key_changes | changes)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        self.requests += 1
        if environ["PATH_INFO"] == "/.well-known/openid-configuration":
            document: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
            document = _present(document | self.discovery_changes)
        else:
            self.reads += 1
            document = {"keys": self.public_keys()}
        return Response(self._sent(json.dumps(document)), status=self.status, content_type="application/json")(
            environ, start_response
        )

    def _sent(self, text: str) -> Iterator[str]:
        if not self.seconds_per_byte:
            yield text
            return
        for character in text:
            time.sleep(self.seconds_per_byte)
            yield character


def _new_rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """A running issuer with one key, whose id is `first`. The authorizer knows no keys yet."""
    app.trusted_keys.cache_clear()
    with running() as started:
        started.add_key("first")
        yield started


@contextmanager
def running(host: str = "127.0.0.1", port: int = 0) -> Iterator[Issuer]:
    """Run an issuer until the block ends. Port 0 means any free port."""
    started = Issuer()
    server = make_server(host, port, started, threaded=True, request_handler=QuietRequestHandler)
    started.url = f"http://{host}:{server.port}"
    with serving(server):
        yield started
        # No thread goes on sending slowly.
        started.seconds_per_byte = 0

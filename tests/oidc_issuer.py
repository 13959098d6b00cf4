"""An issuer of JSON Web Tokens on this machine, as OpenID Connect describes it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from functions.authorize import app
from tools.local.request_handler import QuietRequestHandler, serving

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

AUDIENCE = "image-pipeline"
_NEW_KEYS: dict[str, Callable[[], Any]] = {
    "RS": lambda: rsa.generate_private_key(65537, 2048),
    "PS": lambda: rsa.generate_private_key(65537, 2048),
    "ES": lambda: ec.generate_private_key(ec.SECP256R1()),
    "Ed": ed25519.Ed25519PrivateKey.generate,
}


@dataclass
class Issuer:
    """`keys` are the private keys by id, with their algorithms. `reads` counts how often the public keys were read."""

    url: str = ""
    keys: dict[str, tuple[Any, str]] = field(default_factory=dict)
    further_keys: list[dict[str, Any]] = field(default_factory=list)
    reads: int = 0
    status: int = 200

    def add_key(self, key_id: str, algorithm: str = "RS256") -> None:
        self.keys[key_id] = (_NEW_KEYS[algorithm[:2]](), algorithm)

    def token(self, key_id: str, **changes: Any) -> str:
        """Return a token that is valid for an hour. See `claims` for `changes`."""
        key, algorithm = self.keys[key_id]
        return jwt.encode(self.claims(**changes), key, algorithm, {"kid": key_id})

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a valid token with changes.

        Times are seconds from now. A claim that is None is left out.
        """
        claims: dict[str, Any] = {"iss": self.url, "aud": AUDIENCE, "sub": "a-user", "iat": 0, "exp": 3600} | changes
        now = int(time.time())
        return {
            name: value + now if name in {"exp", "nbf", "iat"} else value
            for name, value in claims.items()
            if value is not None
        }

    def public_keys(self) -> list[dict[str, Any]]:
        described = []
        for key_id, (key, algorithm) in self.keys.items():
            jwk = json.loads(get_default_algorithms()[algorithm].to_jwk(key.public_key()))
            described.append(jwk | {"kid": key_id, "use": "sig", "alg": algorithm})
        return described + self.further_keys

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        if environ["PATH_INFO"] == "/.well-known/openid-configuration":
            document: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        else:
            self.reads += 1
            document = {"keys": self.public_keys()}
        return Response(json.dumps(document), status=self.status, content_type="application/json")(
            environ, start_response
        )


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """A running issuer with one key, whose id is `first`. The authorizer knows no keys yet."""
    monkeypatch.setattr(app, "_cached", None)
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

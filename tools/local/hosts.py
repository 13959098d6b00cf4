"""Refuses requests for other hosts, so that a page whose name leads to this machine cannot use the local API.

Such a page has the origin of its own name, and a browser lets it read everything (DNS rebinding). API Gateway knows
only its own host names.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True)
class OwnHosts:
    """A WSGI application that passes requests to `app` if their Host is an address, or a name of this machine.

    `host` is the address or the name on which the API listens.
    """

    app: "WSGIApplication"
    host: str

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        name = urlsplit(f"//{environ.get('HTTP_HOST', self.host)}").hostname or ""
        if _is_address(name) or name in {"localhost", self.host.lower(), *_names()}:
            return self.app(environ, start_response)
        text = "This host is not the local API. Please use the URL that make serve shows.\n"
        return Response(text, HTTPStatus.MISDIRECTED_REQUEST)(environ, start_response)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name}.local", name.partition(".")[0]}

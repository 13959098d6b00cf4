"""Who may call the local API: API keys and tokens, as API Gateway checks them.

This replaces a part of API Gateway. The routes come from template.yaml, and tokens are checked by the real authorizer.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hmac import compare_digest
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from tools.template import Template

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The only API key of the local API.
API_KEY = "the-api-key-of-the-local-api"
_AUTHORIZER = "AuthorizeFunction"
# The gateway response of each scheme in template.yaml, and its status.
_REFUSALS = {
    "ApiKey": ("INVALID_API_KEY", HTTPStatus.FORBIDDEN),
    "Token": ("UNAUTHORIZED", HTTPStatus.UNAUTHORIZED),
}


def gateway_response(template: Template, name: str, status: int | None = None) -> Response:
    """Make a gateway response of the template. `status` is needed if the template does not name it."""
    described = template["Resources"]["Api"]["Properties"]["GatewayResponses"][name]
    ((media_type, body),) = described["ResponseTemplates"].items()
    headers = {header: value.strip("'") for header, value in described["ResponseParameters"]["Headers"].items()}
    return Response(body, status=described.get("StatusCode", status), headers=headers, content_type=media_type)


@dataclass(frozen=True)
class Access:
    """A WSGI application that passes requests to `app` only if their credentials are valid. `call` calls a function."""

    app: "WSGIApplication"
    template: Template
    call: Callable[[str, dict[str, Any]], dict[str, Any]]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        scheme = self._scheme(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if scheme is None or self._is_allowed(scheme, environ):
            return self.app(environ, start_response)
        name, status = _REFUSALS[scheme]
        return gateway_response(self.template, name, status)(environ, start_response)

    def _scheme(self, method: str, path: str) -> str | None:
        """Return the security scheme of a route, or None for a public one."""
        for route, methods in self.template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path):
                for requirement in methods.get(method.lower(), {}).get("security", []):
                    return str(*requirement)
        return None

    def _is_allowed(self, scheme: str, environ: "WSGIEnvironment") -> bool:
        if scheme == "ApiKey":
            return compare_digest(environ.get("HTTP_X_API_KEY", "").encode(), API_KEY.encode())
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        schemes = self.template["Resources"]["Api"]["Properties"]["DefinitionBody"]["components"]["securitySchemes"]
        pattern = schemes["Token"]["x-amazon-apigateway-authorizer"]["identityValidationExpression"]
        if not re.fullmatch(pattern, authorization):
            return False
        arn = f"arn:aws:execute-api:us-east-1:123456789012:local/prod/{environ['REQUEST_METHOD']}{environ['PATH_INFO']}"
        response = self.call(_AUTHORIZER, {"type": "TOKEN", "authorizationToken": authorization, "methodArn": arn})
        return "policyDocument" in response

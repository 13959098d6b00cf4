"""Who may call the local API: API keys, tokens and signatures, as API Gateway checks them.

This replaces a part of API Gateway. The routes come from template.yaml, and tokens are checked by the real authorizer.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import EnvironHeaders
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_input_stream

from tools.local import signatures
from tools.template import Template

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The API keys of the local API, with their ids. They are no secrets.
API_KEY, OTHER_API_KEY = "the-api-key-of-the-local-api", "the-other-api-key-of-the-local-api"
_KEY_IDS = {API_KEY: "local0key1", OTHER_API_KEY: "local0key2"}
# In the WSGI environment of a request: what its event says of the caller, as API Gateway writes it.
CALLER = "image_pipeline.caller"
_USER = "AIDALOCALUSEROFTHEAPI"
_AUTHORIZER = "AuthorizeFunction"
# The gateway responses that refuse a request, with their status.
_NO_KEY = ("INVALID_API_KEY", HTTPStatus.FORBIDDEN)
_NO_TOKEN = ("UNAUTHORIZED", HTTPStatus.UNAUTHORIZED)
_NOT_SIGNED = ("MISSING_AUTHENTICATION_TOKEN", HTTPStatus.FORBIDDEN)
_WRONG_SIGNATURE = ("INVALID_SIGNATURE", HTTPStatus.FORBIDDEN)
_AUTHORIZER_FAILED = ("AUTHORIZER_FAILURE", HTTPStatus.INTERNAL_SERVER_ERROR)
_Refusal = tuple[str, HTTPStatus]
Caller = dict[str, dict[str, str]]


def gateway_response(template: Template, name: str, status: int = HTTPStatus.FORBIDDEN) -> Response:
    """Make a gateway response of the template, or the default one. `status` is that of AWS if the template has none."""
    responses = template["Resources"]["Api"]["Properties"]["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]
    default = "DEFAULT_5XX" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "DEFAULT_4XX"
    described = responses.get(name, responses[default])
    ((media_type, body),) = described["responseTemplates"].items()
    headers = {
        name.removeprefix("gatewayresponse.header."): value.strip("'")
        for name, value in described["responseParameters"].items()
    }
    status = int(described.get("statusCode", status))
    # The words of API Gateway are not known here.
    body = body.replace("$context.error.messageString", '"The request is not allowed."')
    return Response(body, status=status, headers=headers, content_type=media_type)


@dataclass(frozen=True)
class Access:
    """A WSGI application that passes requests to `app` only if their credentials are valid, with CALLER.

    `call` calls a function.
    """

    app: "WSGIApplication"
    template: Template
    call: Callable[[str, dict[str, Any]], dict[str, Any]]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        check = self._check(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        checked = check(environ) if check else {}
        if isinstance(checked, tuple):
            return gateway_response(self.template, *checked)(environ, start_response)
        environ[CALLER] = checked
        return self.app(environ, start_response)

    def _check(self, method: str, path: str) -> "Callable[[WSGIEnvironment], _Refusal | Caller] | None":
        """Return the check of the credentials for a route, or None for a public one."""
        checks = {"ApiKey": self._check_key, "Token": self._check_token, "Iam": self._check_signature}
        routes = self.template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"]
        # A path without parameters comes first, even if it lacks the method.
        for route, methods in ({path: routes[path]} if path in routes else routes).items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path):
                for requirement in methods.get(method.lower(), {}).get("security", []):
                    return checks[str(*requirement)]
        return None

    def _check_key(self, environ: "WSGIEnvironment") -> _Refusal | Caller:
        key_id = _KEY_IDS.get(environ.get("HTTP_X_API_KEY", ""))
        return {"identity": {"apiKeyId": key_id}} if key_id else _NO_KEY

    def _check_token(self, environ: "WSGIEnvironment") -> _Refusal | Caller:
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        schemes = self.template["Resources"]["Api"]["Properties"]["DefinitionBody"]["components"]["securitySchemes"]
        pattern = schemes["Token"]["x-amazon-apigateway-authorizer"]["identityValidationExpression"]
        if not re.fullmatch(pattern, authorization):
            return _NO_TOKEN
        arn = f"arn:aws:execute-api:us-east-1:123456789012:local/prod/{environ['REQUEST_METHOD']}{environ['PATH_INFO']}"
        response = self.call(_AUTHORIZER, {"type": "TOKEN", "authorizationToken": authorization, "methodArn": arn})
        if "policyDocument" in response:
            return {"authorizer": {"principalId": response["principalId"], **response["context"]}}
        return _NO_TOKEN if response["errorMessage"] == "Unauthorized" else _AUTHORIZER_FAILED

    def _check_signature(self, environ: "WSGIEnvironment") -> _Refusal | Caller:
        if "HTTP_AUTHORIZATION" not in environ:
            return _NOT_SIGNED
        body = get_input_stream(environ).read()
        environ["wsgi.input"] = BytesIO(body)
        headers = {name.lower(): value for name, value in EnvironHeaders(environ).items()}
        is_valid = signatures.is_valid(environ["REQUEST_METHOD"], environ["RAW_URI"], headers, body)
        return {"identity": {"user": _USER}} if is_valid else _WRONG_SIGNATURE

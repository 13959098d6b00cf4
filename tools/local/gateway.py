"""The API as `sam local start-api` serves it, without Docker: the gateway of SAM with the real handlers.

Only one part of SAM is replaced: its Docker runner, by one that calls the handlers in this process.
"""

import json
import logging
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPMethod, HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from flask import request
from samcli.lib.providers.api_provider import ApiProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from samcli.local.apigw.local_apigw_service import LocalApigwService
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_input_stream

from tools.local.access import CALLER, Access, gateway_response
from tools.local.hosts import OwnHosts
from tools.template import PATH, Template, functions, handler, stage_variables

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from samcli.lib.utils.stream_writer import StreamWriter
    from samcli.local.apigw.route import Route

_ACCOUNT = "123456789012"
# SAM ignores the security schemes of the template, and warns. access.py applies them.
logging.getLogger("samcli.commands.local.lib.swagger.parser").setLevel(logging.ERROR)


class LocalGateway:
    """The routes of template.yaml as one WSGI application."""

    def __init__(self, template: Template, host: str, port: int) -> None:
        stacks, _ = SamLocalStackProvider.get_stacks(template_file=str(PATH))
        api = ApiProvider(stacks).api
        self.routes: list[Route] = sorted(api.routes, key=lambda route: (route.path, route.methods))
        self._functions = functions(template)
        runner = _InProcessRunner(self.call, stage_variables(template))
        service = LocalApigwService(api, runner, port=port, host=host)
        service.create()
        flask_app = service._app  # noqa: SLF001 - SAM has no public name for it

        def no_route(_: object = None) -> Response:
            return gateway_response(template, "MISSING_AUTHENTICATION_TOKEN")

        # SAM's gateway has no gateway responses. A client sees this one most often.
        for status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            flask_app.register_error_handler(status, no_route)
        # API Gateway chooses the path before the method: GET /api/images/check is not GET /api/images/{image_id}.
        for path in {route.path for route in self.routes if "{" not in route.path}:
            taken = {method for route in self.routes if route.path == path for method in route.methods}
            others = sorted({*HTTPMethod} - taken)
            flask_app.add_url_rule(path, f"no route: {path}", no_route, methods=others, provide_automatic_options=False)
        bodies = _TextBodies(flask_app, api.binary_media_types)
        self.app: WSGIApplication = OwnHosts(Access(bodies, template, self.call), host)

    def call(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        """Call the handler of a function as the Lambda runtime does. An exception becomes an error document."""
        properties = self._functions[function]
        timeout = properties["Timeout"]
        context = LocalContext(function, seconds=timeout) if isinstance(timeout, int) else LocalContext(function)
        try:
            response: dict[str, Any] = handler(properties)(event, context)
        except Exception as error:  # noqa: BLE001 - the runtime continues after any exception
            traceback.print_exc()
            return {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
        return response


class _TextBodies:
    """Decodes bodies that do not have a binary media type to text, as API Gateway does. SAM's gateway fails on them."""

    def __init__(self, app: "WSGIApplication", binary_media_types: list[str]) -> None:
        self._app = app
        self._binary_media_types = binary_media_types

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() not in self._binary_media_types:
            body = get_input_stream(environ).read().decode(errors="replace").encode()
            environ["wsgi.input"] = BytesIO(body)
            if body:
                environ["CONTENT_LENGTH"] = str(len(body))
            environ.pop("HTTP_TRANSFER_ENCODING", None)
        return self._app(environ, start_response)


@dataclass(frozen=True)
class LocalContext:
    """The part of Lambda's context object that handlers use."""

    function_name: str
    memory_limit_in_mb: int = 3008
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    seconds: float = 29
    # Looks the clock up at each call, so that a test can replace it.
    started: float = field(default_factory=lambda: time.monotonic())  # noqa: PLW0108

    def get_remaining_time_in_millis(self) -> int:
        return int((self.started + self.seconds - time.monotonic()) * 1000)

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:us-east-1:{_ACCOUNT}:function:{self.function_name}"


class _InProcessRunner:
    """Replaces SAM's runner of Docker containers."""

    def __init__(self, call: Callable[[str, dict[str, Any]], dict[str, Any]], variables: Mapping[str, str]) -> None:
        self._call = call
        self._stage_variables = variables

    def is_debugging(self) -> bool:
        return False

    def invoke(
        self,
        function_identifier: str,
        event: str,
        stdout: "StreamWriter",
        stderr: "StreamWriter | None" = None,  # noqa: ARG002 - SAM's interface
        tenant_id: str | None = None,  # noqa: ARG002
    ) -> None:
        sent = json.loads(event)
        # SAM's gateway does not know who calls, and not the parameters of the template.
        sent["stageVariables"] = self._stage_variables
        for part, facts in request.environ[CALLER].items():
            sent["requestContext"][part] = (sent["requestContext"].get(part) or {}) | facts
        stdout.write_str(json.dumps(self._call(function_identifier, sent)))

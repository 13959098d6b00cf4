"""The whole API: gateway and handlers in this process, S3 and DynamoDB beside it. Used by serve, demo and the tests."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EADDRINUSE
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.serving import make_server

from image_pipeline.storage import clients
from image_processing.captions import Captioner, get_captioner
from tools import template
from tools.local import engines, notifications, resources
from tools.local.request_handler import QuietRequestHandler, RequestHandler, serving

if TYPE_CHECKING:
    from samcli.local.apigw.route import Route

DEMO_MODEL = template.ROOT / "tools" / "demo_model" / "model"
_MAX_PORT = 65_535


class AddressError(Exception):
    """The API cannot use this address and port. The message says why and what to do."""


@dataclass(frozen=True)
class LocalApi:
    """A running API. `url` is the base URL of all routes."""

    url: str
    routes: "list[Route]"
    captioner: Captioner
    aws: engines.Aws


@contextmanager
def run(  # noqa: PLR0913 - the arguments of make serve
    model: Path = DEMO_MODEL,
    host: str = "127.0.0.1",
    port: int = 0,
    request_handler: type[RequestHandler] = QuietRequestHandler,
    parameters: Mapping[str, str] | None = None,
    data: Path | None = None,
) -> Iterator[LocalApi]:
    """Serve until the block ends. Port 0 means any free port. `parameters` are those of the template.

    What is stored stays in the folder `data`. Without one it is in memory. Until the block ends, this process has the
    environment variables of the functions, and its AWS clients reach only this machine.
    Raises AddressError, ModelFolderError, EngineError and DynamoDBLocalError.
    """
    described = template.read(parameters)
    with _listen(host, port) as listener, engines.running(host, data) as aws, _environment(aws.variables):
        # This import takes a second, in which the engines start.
        from tools.local.gateway import LocalGateway  # noqa: PLC0415

        port = listener.getsockname()[1]
        gateway = LocalGateway(described, host, port)
        names = resources.create(described, aws.client)
        os.environ |= template.variables(described, names)
        os.environ |= {
            "THUMBNAILS_URL": f"{aws.variables['AWS_ENDPOINT_URL']}/{names['ThumbnailsBucket']}",
            "UPLOADS_URL": f"{aws.variables['AWS_ENDPOINT_URL']}/{names['UploadsBucket']}",
            "MODEL_PATH": str(model),
            "AWS_SAM_LOCAL": "true",
            "POWERTOOLS_LOG_LEVEL": "WARNING",
            "POWERTOOLS_METRICS_DISABLED": "true",
        }
        captioner = get_captioner()
        server = make_server(
            host, port, gateway.app, threaded=True, request_handler=request_handler, fd=listener.fileno()
        )
        resources.resend_notifications(described, names, aws.client)
        checkpoints = data / engines.CHECKPOINTS if data else None
        with notifications.running(described, names, aws.client, gateway.call, checkpoints), serving(server):
            yield LocalApi(f"http://{host}:{port}", gateway.routes, captioner, aws)


def forget_clients() -> None:
    """Forget the AWS clients of the functions, because the next ones get another environment."""
    getters = (clients.session, clients.aws_lambda, clients.codedeploy, clients.dynamodb, clients.s3, clients.sqs)
    for cached in getters:
        cached.cache_clear()


def _listen(host: str, port: int) -> socket.socket:
    if host in {"", "0.0.0.0", "::"}:
        raise AddressError(
            f"thumbnail URLs contain the host, and '{host}' cannot be reached. Give an address: HOST=<address>"
        )
    hint = "; choose another port: make serve PORT="
    if not 0 <= port <= _MAX_PORT:
        raise AddressError(f"cannot listen on {host}:{port}: ports are from 0 to {_MAX_PORT}{hint}")
    try:
        return socket.create_server((host, port))
    except OSError as error:
        reason = f"{error.strerror or error}{hint if error.errno == EADDRINUSE else ''}"
        raise AddressError(f"cannot listen on {host}:{port}: {reason}") from error


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Replace all AWS_ variables by `variables` until the block ends."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= variables
    forget_clients()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before
        forget_clients()

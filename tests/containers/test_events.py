"""Handlers get the same events from `sam local` as from the gateway in this process."""

import copy
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.serving import make_server

from tests.contract.examples import shape
from tests.pictures import scene_png
from tools import template
from tools.containers import sam
from tools.local.gateway import LocalGateway
from tools.local.request_handler import QuietRequestHandler, serving

pytestmark = pytest.mark.usefixtures("api_url")

ECHO = Path(__file__).parent / "echo"
FORM = "multipart/form-data; boundary=b"
SAME_VALUES = (
    "resource",
    "path",
    "httpMethod",
    "body",
    "isBase64Encoded",
    "pathParameters",
    "queryStringParameters",
    "multiValueQueryStringParameters",
    "stageVariables",
)
REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "list": ("GET", "/api/images", {}),
    "list with a query": ("GET", "/api/images?limit=2&cursor=a%2Fb&limit=3", {}),
    "image": ("GET", "/api/images/b480bcff-7fff-45b2-93cf-7a534fe39821", {}),
    "image, escaped": ("GET", "/api/images/a%20b%C3%A9", {}),
    "thumbnail": ("GET", "/api/images/b480bcff-7fff-45b2-93cf-7a534fe39821/thumbnails/small", {}),
    "statistics": ("GET", "/api/stats", {"headers": {"X-More": "1"}}),
    "upload": (
        "POST",
        "/api/images",
        {"data": scene_png(), "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
    ),
    "upload of text": ("POST", "/api/images", {"data": "text", "headers": {"Content-Type": "text/plain"}}),
    "upload of nothing": ("POST", "/api/images", {}),
}


@pytest.fixture(scope="module")
def echoing() -> template.Template:
    """The template, changed so that each function returns the event that it gets."""
    described = copy.deepcopy(template.read())
    del described["Globals"]["Function"]["Layers"]
    del described["Resources"]["PipelineLayer"]
    for resource in described["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            events = resource["Properties"].get("Events", {})
            resource["Properties"] = {"CodeUri": f"{ECHO.relative_to(Path.cwd())}/", "Events": events}
            resource.pop("Metadata", None)
            resource.pop("IgnoreGlobals", None)
    return described


@pytest.fixture(scope="module")
def in_containers(echoing: template.Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    described = copy.deepcopy(echoing)
    for resource in described["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = str(ECHO)
    file = tmp_path_factory.mktemp("echo") / "template.yaml"
    file.write_text(json.dumps(described))
    with sam.start("start-api", _free_port(), quiet=True, template=file) as api:
        yield api.url


@pytest.fixture(scope="module")
def in_process(echoing: template.Template) -> Iterator[str]:
    port = _free_port()
    server = make_server(
        "127.0.0.1", port, LocalGateway(echoing, "127.0.0.1", port).app, request_handler=QuietRequestHandler
    )
    with serving(server):
        yield f"http://127.0.0.1:{port}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("request_name", REQUESTS)
def test_an_event_is_the_same(in_containers: str, in_process: str, request_name: str) -> None:
    method, path, arguments = REQUESTS[request_name]
    theirs, ours = (
        requests.request(method, f"{url}{path}", timeout=60, **arguments).json() for url in (in_containers, in_process)
    )
    assert shape(ours) == shape(theirs)
    assert {name: ours[name] for name in SAME_VALUES} == {name: theirs[name] for name in SAME_VALUES}

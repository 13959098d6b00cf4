"""Runs the image of the upload function as Lambda does: it can reach only its storage and write only to /tmp."""

import json
import socket
import time
from collections.abc import Iterator

import docker
import pytest
import requests
from docker.models.containers import Container

from tests.events import load_event
from tests.pictures import RED_LEFT_OF_BLUE
from tools.containers import storage

PORT = 8080  # of the runtime interface emulator
START_SECONDS = 20


@pytest.fixture(scope="module")
def container(engine: docker.DockerClient) -> Iterator[Container]:
    running = engine.containers.run(
        "uploadimagefunction:latest",
        detach=True,
        environment=storage.function_environment(),
        network=storage.NETWORK,
        read_only=True,
        tmpfs={"/tmp": "size=512m"},
        mem_limit="3008m",
        user="1000",
    )
    try:
        running.reload()
        yield running
    finally:
        running.remove(force=True)


def invoke(container: Container, event_name: str) -> dict[str, object]:
    address = container.attrs["NetworkSettings"]["Networks"][storage.NETWORK]["IPAddress"]
    url = f"http://{address}:{PORT}/2015-03-31/functions/function/invocations"
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            response: dict[str, object] = requests.post(url, json=load_event(event_name), timeout=60).json()
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return response


def test_it_captions(container: Container) -> None:
    response = invoke(container, "upload_image_png")
    assert response["statusCode"] == 200
    assert json.loads(str(response["body"]))["data"]["caption"] == RED_LEFT_OF_BLUE.caption


@pytest.fixture(scope="module")
def outside(engine: docker.DockerClient) -> Iterator[str]:
    """The address of a web server on another network of this machine."""
    server = engine.containers.run(
        "uploadimagefunction:latest", ["-m", "http.server"], entrypoint="python", detach=True
    )
    try:
        server.reload()
        yield server.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    finally:
        server.remove(force=True)


def test_it_cannot_reach_another_network(container: Container, outside: str) -> None:
    until = time.monotonic() + START_SECONDS
    while not _connects(outside) and time.monotonic() < until:
        time.sleep(0.1)
    assert _connects(outside)
    script = f"import socket; socket.create_connection(('{outside}', 8000), 2)"
    status, output = container.exec_run(["python", "-c", script])
    assert status != 0
    assert b"timed out" in output or b"unreachable" in output


def _connects(address: str) -> bool:
    try:
        socket.create_connection((address, 8000), 1).close()
    except OSError:
        return False
    return True


def test_it_can_write_only_to_tmp(container: Container) -> None:
    assert container.exec_run(["touch", "/tmp/file"]).exit_code == 0
    for folder in ("/var/task", "/opt/model", "/"):
        assert container.exec_run(["touch", f"{folder}/file"], user="0").exit_code != 0


def test_it_holds_neither_torch_nor_transformers(container: Container) -> None:
    script = "import importlib.util as u; print([n for n in ('torch', 'transformers') if u.find_spec(n)])"
    status, output = container.exec_run(["python", "-c", script])
    assert (status, output.strip()) == (0, b"[]")

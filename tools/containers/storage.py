"""S3 and DynamoDB for the containers, at the addresses in `events/env.local.json`."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import docker
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from tools import template
from tools.containers.errors import ContainersError
from tools.local import engines, resources

VARIABLES_FILE = Path("events/env.local.json")
# samconfig.toml contains this name too.
NETWORK = "image-pipeline"


def variables() -> dict[str, str]:
    """Return the variables that `sam local` puts into the environment of each function."""
    parameters: dict[str, str] = json.loads(VARIABLES_FILE.read_text())["Parameters"]
    return parameters


def function_environment() -> dict[str, str]:
    """Return the environment of a function as `sam local` makes it: defaults of the template, then `variables()`."""
    described = template.read()
    resources_without_names = dict.fromkeys(described["Resources"], "")
    return {
        **engines.credentials(),
        "AWS_LAMBDA_FUNCTION_NAME": "local",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        **template.variables(described, resources_without_names),
        **variables(),
    }


@contextmanager
def running(docker_client: docker.DockerClient) -> Iterator[dict[str, str]]:
    """Serve S3, SQS and DynamoDB, with buckets, queues and table of the template, to this machine and NETWORK.

    Yields the name of the table and the URLs of the queues, by logical id.
    """
    settings = variables()
    s3, dynamodb = (urlsplit(settings[f"AWS_ENDPOINT_URL_{service}"]) for service in ("S3", "DYNAMODB"))
    host = s3.hostname
    if not (host and host == dynamodb.hostname and s3.port and dynamodb.port):
        raise ContainersError(f"{VARIABLES_FILE} must contain one address, with a port for S3 and a port for DynamoDB")
    if docker_client.networks.list(names=[f"^{NETWORK}$"]) and _is_reachable(host, s3.port):
        raise ContainersError("another make local or make e2e is running. Stop it first")
    with (
        _network(docker_client, host),
        engines.objects(host, s3.port, engines.credentials()) as objects,
        engines.dynamodb(host, dynamodb.port) as table,
    ):
        objects.wait()
        table.wait()
        yield resources.create(template.read(), client)


def _is_reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def _network(client: docker.DockerClient, gateway: str) -> Iterator[None]:
    """Create a Docker network in which containers can reach this machine at `gateway`, and nothing else."""
    _remove_network(client)
    subnet = f"{gateway.rpartition('.')[0]}.0/24"
    pool = IPAMPool(subnet=subnet, gateway=gateway)
    try:
        client.networks.create(NETWORK, driver="bridge", internal=True, ipam=IPAMConfig(pool_configs=[pool]))
    except APIError as error:
        raise ContainersError(
            f"Docker cannot make the network {subnet} ({error.explanation}). Choose another address in {VARIABLES_FILE}"
        ) from error
    try:
        yield
    finally:
        _remove_network(client)


def remove_containers(client: docker.DockerClient) -> None:
    """Remove all containers on NETWORK. A killed `sam` leaves some. Only `sam` and the tests use this network."""
    for container in client.containers.list(all=True, filters={"network": NETWORK}):
        container.remove(force=True)


def _remove_network(client: docker.DockerClient) -> None:
    remove_containers(client)
    for network in client.networks.list(names=[f"^{NETWORK}$"]):
        network.remove()


def client(service: Any) -> Any:  # noqa: ANN401 - one of many clients
    """Return a client of S3, SQS, DynamoDB or DynamoDB Streams, for this machine."""
    kind = "DYNAMODB" if service.startswith("dynamodb") else service.upper()
    return _session().client(service, endpoint_url=variables()[f"AWS_ENDPOINT_URL_{kind}"])


@cache
def _session() -> boto3.Session:
    return boto3.Session("local", "local", region_name="us-east-1")

"""S3 and DynamoDB for the containers: on this machine, at the addresses of `events/env.local.json`."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import docker
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from tools import aws_stand_in, template
from tools.containers import dynamodb_local
from tools.containers.errors import ContainersError

VARIABLES_FILE = Path("events/env.local.json")
# Named in samconfig.toml too.
NETWORK = "image-pipeline"

_START_SECONDS = 60


def variables() -> dict[str, str]:
    """Return what `sam local` puts into the functions' environment."""
    parameters: dict[str, str] = json.loads(VARIABLES_FILE.read_text())["Parameters"]
    return parameters


def function_environment() -> dict[str, str]:
    """Return a function's environment as `sam local` makes it: the template's defaults, then `variables()`."""
    described = template.read()
    environment = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "local",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    }
    for properties in template.functions(described).values():
        for name, value in properties["Environment"]["Variables"].items():
            parameter = value.get("Ref") if isinstance(value, dict) else None
            environment[name] = str(described["Parameters"].get(parameter, {"Default": value})["Default"])
    return environment | variables()


@contextmanager
def running(client: docker.DockerClient) -> Iterator[None]:
    """Serve S3 and DynamoDB, with the template's bucket and table, to this machine and to containers on NETWORK."""
    settings = variables()
    s3, dynamodb = (urlsplit(settings[f"AWS_ENDPOINT_URL_{service}"]) for service in ("S3", "DYNAMODB"))
    host = s3.hostname
    if not (host and host == dynamodb.hostname and s3.port and dynamodb.port):
        raise ContainersError(f"{VARIABLES_FILE} must name one address with a port each for S3 and DynamoDB")
    if client.networks.list(names=[f"^{NETWORK}$"]) and _answers(host, s3.port):
        raise ContainersError("another make local or make e2e is running; stop it first")
    with (
        _network(client, host),
        aws_stand_in.run(host, s3.port),
        dynamodb_local.run(client, host, dynamodb.port),
    ):
        _create_resources(settings)
        yield


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def _network(client: docker.DockerClient, gateway: str) -> Iterator[None]:
    """Make a network in which containers reach this machine at `gateway`, and nothing else."""
    _remove_network(client)
    subnet = f"{gateway.rpartition('.')[0]}.0/24"
    pool = IPAMPool(subnet=subnet, gateway=gateway)
    try:
        client.networks.create(NETWORK, driver="bridge", internal=True, ipam=IPAMConfig(pool_configs=[pool]))
    except APIError as error:
        raise ContainersError(
            f"Docker cannot make a network {subnet} ({error.explanation}); name another in {VARIABLES_FILE}"
        ) from error
    try:
        yield
    finally:
        _remove_network(client)


def remove_containers(client: docker.DockerClient) -> None:
    """Remove the containers on NETWORK, such as a `sam` that was killed leaves. Only `sam` and tests put any there."""
    for container in client.containers.list(all=True, filters={"network": NETWORK}):
        container.remove(force=True)


def _remove_network(client: docker.DockerClient) -> None:
    remove_containers(client)
    for network in client.networks.list(names=[f"^{NETWORK}$"]):
        network.remove()


def _create_resources(settings: dict[str, str]) -> None:
    s3 = _session().client("s3", endpoint_url=settings["AWS_ENDPOINT_URL_S3"])
    s3.create_bucket(Bucket=settings["BUCKET_NAME"])
    create_table(settings["AWS_ENDPOINT_URL_DYNAMODB"], settings["TABLE_NAME"])


def create_table(url: str, name: str) -> None:
    """Make the template's table in the DynamoDB at `url`, once that answers. Raises ContainersError."""
    patience = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
    dynamodb = _session().client("dynamodb", endpoint_url=url, config=patience)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            dynamodb.list_tables()
            break
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                raise ContainersError(f"DynamoDB Local does not answer: {error}") from error
            time.sleep(0.2)
    dynamodb.create_table(TableName=name, **template.table_definition(template.read()))


def _session() -> boto3.Session:
    return boto3.Session("local", "local", region_name="us-east-1")

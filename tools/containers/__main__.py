"""Run the API in containers: `python -m tools.containers local`. With `e2e`, run the tests against it."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import boto3
import docker
from botocore.config import Config
from docker.errors import DockerException

from tools import stopping, template
from tools.containers import base_image, cold_starts, sam, storage
from tools.containers.errors import ContainersError
from tools.local import notifications
from tools.local.dynamodb_local import DynamoDBLocalError
from tools.local.engines import EngineError

_DEMO_MODEL = "tools/demo_model/model"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["local", "e2e"])
    parser.add_argument("--port", type=int, default=3000, help="port to listen on (default: %(default)s)")
    parser.add_argument("--model", default=_DEMO_MODEL, help="caption model in the image (default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="precision of the model (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        with stopping.by_signals():
            is_test = options.command == "e2e"
            with _running(options.model, options.precision, options.port, quiet=is_test) as (api, functions):
                if not is_test:
                    print(_banner(api.url), flush=True)
                    api.wait()
                failed = _test(api.url, functions.url)
                print(f"\n{cold_starts.table(_docker())}", flush=True)
            return failed or subprocess.call([sys.executable, "-m", "pytest", "tests/containers_lifecycle"])
    except (ContainersError, EngineError, DynamoDBLocalError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except stopping.Stopped:
        print("\nstopped: containers, servers and network are gone", flush=True)
        return 0 if options.command == "local" else 130


@contextmanager
def _running(model: str, precision: str, port: int, *, quiet: bool) -> Iterator[tuple[sam.RunningSam, sam.RunningSam]]:
    """Run the API and, for single calls, its functions, until the block ends."""
    client = _docker()
    with storage.running(client) as names, base_image.available(client) as description:
        print(description, flush=True)
        sam.build(model, precision)
        try:
            with (
                sam.start("start-api", port, quiet=quiet) as api,
                sam.start("start-lambda", port + 1, quiet=True) as functions,
                notifications.running(template.read(), names, storage.client, _caller(functions.url)),
            ):
                yield api, functions
        finally:
            storage.remove_containers(client)


def _caller(url: str) -> notifications.Call:
    """Return a function that calls a Lambda function in its container."""
    patience = Config(read_timeout=300, retries={"total_max_attempts": 1})
    client = boto3.Session("local", "local", region_name="us-east-1").client(
        "lambda", endpoint_url=url, config=patience
    )

    def call(function: str, event: dict[str, Any]) -> dict[str, Any]:
        response: dict[str, Any] = json.load(
            client.invoke(FunctionName=function, Payload=json.dumps(event).encode())["Payload"]
        )
        return response

    return call


def _docker() -> docker.DockerClient:
    try:
        return docker.from_env()
    except DockerException as error:
        raise ContainersError(
            "Docker does not answer. Install the engine (Debian and Ubuntu: apt-get install docker.io; others: "
            "https://docs.docker.com/engine/install), start it, and allow this user to use it"
        ) from error


def _banner(url: str) -> str:
    return "\n".join(
        [
            "",
            f"Image Processing Pipeline API on {url}, with one container per function",
            "",
            "Try it from another shell:",
            f"  curl -F file=@tools/exporter/samples/scene-03.png {url}/api/images",
            "  .venv/bin/sam local invoke --config-env local GetStatsFunction -e events/get_stats.json",
            "",
            "The first call of each function starts its container. Ctrl-C stops the API and deletes all its data.",
            "Before sam deploy, run sam build again: .aws-sam now contains a build for this machine.",
        ]
    )


def _test(url: str, functions_url: str) -> int:
    command = [sys.executable, "-m", "pytest", "tests/contract", "tests/containers"]
    return subprocess.call(
        command, env=os.environ | {"API_URL": url, "API_MODEL": "demo", "FUNCTIONS_URL": functions_url}
    )


if __name__ == "__main__":
    sys.exit(main())

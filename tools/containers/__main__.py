"""Run the API in containers: `python -m tools.containers local`. With `e2e`, run the tests against it."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import docker
from docker.errors import DockerException

from tools.containers import base_image, cold_starts, sam, storage
from tools.containers.errors import ContainersError

_DEMO_MODEL = "tools/demo_model/model"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["local", "e2e"])
    parser.add_argument("--port", type=int, default=3000, help="port to listen on (default: %(default)s)")
    parser.add_argument("--model", default=_DEMO_MODEL, help="caption model in the image (default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="precision of the model (default: %(default)s)")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with _running(options.model, options.precision, options.port, quiet=options.command == "e2e") as api:
            if options.command == "local":
                print(_banner(api.url), flush=True)
                api.wait()
            failed = _test(api.url)
            print(f"\n{cold_starts.table(_docker())}", flush=True)
        return failed or subprocess.call([sys.executable, "-m", "pytest", "tests/containers_lifecycle"])
    except ContainersError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped: containers, servers and network are gone", flush=True)
        return 0 if options.command == "local" else 130


def _interrupt(*_: object) -> None:
    # Only once: a second signal must not interrupt the clean-up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _running(model: str, precision: str, port: int, *, quiet: bool) -> Iterator[sam.RunningApi]:
    client = _docker()
    with storage.running(client), base_image.available(client) as description:
        print(description, flush=True)
        sam.build(model, precision)
        try:
            with sam.start_api(port, quiet=quiet) as api:
                yield api
        finally:
            storage.remove_containers(client)


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


def _test(url: str) -> int:
    command = [sys.executable, "-m", "pytest", "tests/contract", "tests/containers"]
    return subprocess.call(command, env=os.environ | {"API_URL": url, "API_MODEL": "demo"})


if __name__ == "__main__":
    sys.exit(main())

"""The times that functions take to start and to respond, in containers as `sam local` makes them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import docker

from tools import template
from tools.containers import base_image, runtime_api, storage

_BUILD_FOLDER = Path(".aws-sam/build").absolute()
# One start shows that each function starts in each mode. The medians in docs/benchmarks.md need seven.
_STARTS = int(os.environ.get("STARTS", "1"))
_WARM_CALLS = 10
_EVENTS = {
    "GetImageFunction": "get_image_not_found",
    "GetStatsFunction": "get_stats",
    "GetThumbnailFunction": "get_thumbnail_not_found",
    "ListImagesFunction": "list_images",
}
# How Lambda names the start modes of the upload function.
_INITIALIZATION = "AWS_LAMBDA_INITIALIZATION_TYPE"
_START_MODES = {"on-demand": "on-demand", "provisioned": "provisioned-concurrency", "snapstart": "snap-start"}
# A minimal function that calls both services with boto3.
_BARE_FUNCTION = """
import boto3
boto3.client("dynamodb")
boto3.client("s3")
def lambda_handler(event, context):
    return {"statusCode": 200}
"""


@dataclass(frozen=True)
class _Start:
    """Times of one start, in seconds: until the process asks for an event, for the first call, and for a later call.

    With snapstart, the first one ends when the snapshot would be made.
    """

    init: float
    first: float
    warm: float


def table(client: docker.DockerClient) -> str:
    """Measure each function and a bare one, in turns. Return the medians as a table in Markdown."""
    with TemporaryDirectory() as folder:
        Path(folder, "app.py").write_text(_BARE_FUNCTION)
        functions = template.functions(template.read())
        memory = template.read()["Globals"]["Function"]["MemorySize"]
        cases = {"bare: boto3, two clients": (_zip(folder, memory), "get_stats")}
        cases |= {
            name: (_zip(str(_BUILD_FOLDER / name), functions[name]["MemorySize"]), event)
            for name, event in _EVENTS.items()
        }
        cases |= {
            f"UploadImageFunction, {mode}": (_upload(initialization), "upload_image_jpeg")
            for mode, initialization in _START_MODES.items()
        }
        starts: dict[str, list[_Start]] = {name: [] for name in cases}
        for number in range(_STARTS):
            print(f"measuring cold starts: round {number + 1} of {_STARTS}", flush=True)
            for name, (container, event) in cases.items():
                starts[name].append(_measure(client, container, event))
    bare = median(start.init for start in next(iter(starts.values())))
    lines = ["| function | init | init / bare | first call | warm call |", "|---|---|---|---|---|"]
    for name, measured in starts.items():
        init, first, warm = (median(getattr(start, field) for start in measured) for field in ("init", "first", "warm"))
        lines.append(
            f"| {name} | {init * 1e3:.0f} ms | {init / bare:.2f} | {first * 1e3:.1f} ms | {warm * 1e3:.1f} ms |"
        )
    return "\n".join(lines)


def _zip(code: str, memory: int) -> dict[str, Any]:
    mounted = {
        code: {"bind": "/var/task", "mode": "ro"},
        str(_BUILD_FOLDER / "PipelineLayer"): {"bind": "/opt", "mode": "ro"},
    }
    return {
        "image": f"{base_image.REPOSITORY}:{base_image.TAGS[0]}",
        "command": "app.lambda_handler",
        "volumes": mounted,
        "mem_limit": f"{memory}m",
    }


def _upload(initialization: str) -> dict[str, Any]:
    memory = template.read()["Parameters"]["UploadMemorySize"]["Default"]
    return {
        "image": "uploadimagefunction:latest",
        "mem_limit": f"{memory}m",
        "environment": {_INITIALIZATION: initialization},
    }


def _measure(client: docker.DockerClient, arguments: dict[str, Any], event_name: str) -> _Start:
    event = json.loads(Path("events", f"{event_name}.json").read_bytes())
    host = urlsplit(storage.variables()["AWS_ENDPOINT_URL_S3"]).hostname
    assert host
    with runtime_api.serve(host) as api:
        runtime = {"AWS_LAMBDA_RUNTIME_API": f"{host}:{api.server_port}"}
        environment = storage.function_environment() | runtime | arguments.get("environment", {})
        container = client.containers.run(
            detach=True, network=storage.NETWORK, **(arguments | {"environment": environment})
        )
        try:
            ready = api.wait_ready()
            container.reload()
            init = ready - _started(container.attrs["State"]["Pid"])
            if environment[_INITIALIZATION] == "snap-start":
                api.wait_ready()
            first, response = api.invoke(event)
            if response["statusCode"] >= 500:
                raise RuntimeError(f"{event_name}: {response}")
            warm = median(api.invoke(event)[0] for _ in range(_WARM_CALLS))
        finally:
            container.remove(force=True)
    return _Start(init, first, warm)


def _started(pid: int) -> float:
    """Return when a process started, in seconds since the boot of this machine. See proc(5), field 22 of stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")

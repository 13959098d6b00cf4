"""The usage of AWS by one image: calls of functions and services, counted while the local API processes it."""

import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import boto3
import requests
from botocore.model import OperationModel

from image_pipeline import settings
from image_pipeline.storage import clients
from tools.local import server
from tools.local.gateway import LocalGateway
from tools.template import ROOT

_PHOTOGRAPH = ROOT / "tests" / "photos" / "coffee.jpg"
_TIMEOUT_SECONDS = 30
_UNIT_BYTES = 1024
# The functions that load the caption model. The cost of their time comes from `make bench`.
CAPTIONING = {"UploadImageFunction", "ProcessUploadFunction"}
# The function that waits for the end of a direct upload.
WAITING = "GetImageFunction"
# S3 charges nothing for these.
_FREE_OPERATIONS = {"DeleteObject", "DeleteObjects"}


@dataclass
class Usage:
    """The numbers of calls and billed units of one image, and the bytes of its thumbnails.

    `cpu_seconds` and `aws_calls` are per function. Those of the functions in CAPTIONING mean nothing, because they run
    the demo model. `units` has no reads of WAITING, because their number depends on the time of a caption.
    """

    calls: Counter[str] = field(default_factory=Counter)
    cpu_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    aws_calls: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    stored_bytes: int = 0


def of_form() -> Usage:
    """Return the usage of an image that came through POST /api/images."""
    return _usage_of(_send_form)


def of_direct_upload() -> Usage:
    """Return the usage of an image that came through POST /api/uploads, and whose client waits for the result."""
    usage = _usage_of(_send_directly)
    usage.units["s3_put"] += 1
    # The notification of S3, and what Lambda receives and deletes.
    usage.units["sqs_request"] += 3
    return usage


def _send_form(url: str) -> None:
    _post(f"{url}/api/images", files={"file": _PHOTOGRAPH.open("rb")})


def _send_directly(url: str) -> None:
    wanted = {"filename": _PHOTOGRAPH.name, "content_type": "image/jpeg"}
    target = _post(f"{url}/api/uploads", json=wanted).json()["data"]
    form = target["upload"]
    _post(form["url"], data=form["fields"], files={"file": _PHOTOGRAPH.open("rb")})
    image = f"{url}/api/images/{target['image_id']}?wait=20"
    while requests.get(image, timeout=_TIMEOUT_SECONDS).json()["data"]["image_status"] == "processing":
        pass


def _post(url: str, **body: Any) -> requests.Response:  # noqa: ANN401 - arguments of requests
    response = requests.post(url, timeout=_TIMEOUT_SECONDS, **body)
    response.raise_for_status()
    return response


def _usage_of(send: Callable[[str], None]) -> Usage:
    """Return what the local API does for an image. Another image before it warms up."""
    usage = Usage()
    # image_pipeline.threads hands it on to the threads of a function.
    running = ContextVar("running", default="")
    call = LocalGateway.call

    def counted_call(gateway: LocalGateway, function: str, event: dict[str, Any]) -> dict[str, Any]:
        running.set(function)
        start = time.thread_time()
        response = call(gateway, function, event)
        usage.cpu_seconds[function] += time.thread_time() - start
        usage.calls[function] += 1
        return response

    def count_request(model: OperationModel, params: Mapping[str, Any], **_: object) -> None:
        function = running.get()
        usage.aws_calls[function] += 1
        if function != WAITING:
            usage.units.update(billed_units(model, params))

    with patch.object(LocalGateway, "call", counted_call), server.run() as api:
        for client in (clients.dynamodb(), clients.s3(), clients.sqs()):
            client.meta.events.register("before-call", count_request)
        for _ in range(2):
            for counted in (usage.calls, usage.cpu_seconds, usage.aws_calls, usage.units):
                counted.clear()
            send(api.url)
            while not usage.calls["FollowImagesFunction"]:
                time.sleep(0.1)
        usage.stored_bytes = _stored_bytes() // 2
    return usage


def _stored_bytes() -> int:
    # boto3.client would go on with the credentials of an earlier call, and clients.s3() is counted.
    objects = boto3.Session().client("s3").list_objects_v2(Bucket=settings.bucket_name())["Contents"]
    return sum(stored["Size"] for stored in objects)


def billed_units(model: OperationModel, params: Mapping[str, Any]) -> Counter[str]:
    """Return the units of a request that botocore is about to send."""
    match model.service_model.service_name:
        case "dynamodb":
            return dynamodb_units(model.name, json.loads(params["body"]))
        case "s3" if model.name not in _FREE_OPERATIONS:
            return Counter(["s3_put" if model.name == "PutObject" else "s3_get"])
        case "sqs":
            return Counter(["sqs_request"])
    return Counter()


def dynamodb_units(operation: str, request: Mapping[str, Any]) -> Counter[str]:
    """Return the request units of an operation, for items of less than 4 KB.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
    """
    units: Counter[str] = Counter()
    match operation:
        case "PutItem":
            units["dynamodb_write_unit"] = _write_units(request["Item"])
        case "UpdateItem" | "DeleteItem":
            units["dynamodb_write_unit"] = 1
        case "TransactWriteItems":
            for item in request["TransactItems"]:
                put = item.get("Put", {}).get("Item")
                # A transaction costs twice as much, but not the copy in the index.
                units["dynamodb_write_unit"] += (2 * _item_units(put) + _index_units(put)) if put else 2
        case "BatchWriteItem":
            for writes in request["RequestItems"].values():
                units["dynamodb_write_unit"] += sum(
                    _write_units(write["PutRequest"]["Item"]) if "PutRequest" in write else 1 for write in writes
                )
        case "BatchGetItem":
            units["dynamodb_read_unit"] = sum(len(keys["Keys"]) for keys in request["RequestItems"].values())
        case _:
            units["dynamodb_read_unit"] = 1
    return units


def _write_units(item: Mapping[str, Any]) -> int:
    return _item_units(item) + _index_units(item)


def _index_units(item: Mapping[str, Any]) -> int:
    return _item_units(item) if "listing" in item else 0


def _item_units(item: Mapping[str, Any]) -> int:
    return math.ceil(size(item) / _UNIT_BYTES)


def size(value: Any) -> int:  # noqa: ANN401 - any part of an item
    """Return about how many bytes DynamoDB counts for an item, in its JSON form."""
    if isinstance(value, Mapping):
        return sum(len(name) + size(part) for name, part in value.items())
    if isinstance(value, list):
        return sum(size(part) for part in value)
    return len(str(value).encode())

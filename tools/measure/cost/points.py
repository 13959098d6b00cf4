"""The cost and the time of a million images with one memory size."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from image_pipeline.storage import records, waits
from tools import template
from tools.measure.cost.inputs import MEGABYTES_PER_CPU
from tools.measure.cost.usage import CAPTIONING, WAITING, Usage

SERVICES = ("captions", "other functions", "API Gateway", "DynamoDB", "S3", "SQS", "logs")
_MILLION = 1_000_000
_GIGA = 1_000_000_000


@dataclass(frozen=True)
class Point:
    """A million images with one memory size. `dollars` is by service. `seconds` is the time until the result."""

    way: str
    memory: int
    is_measured: bool
    seconds: float
    dollars: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.dollars.values())


class CaptionTimes:
    """The seconds of a caption by memory.

    Sizes that are not measured get a fixed time plus a time that halves with twice the memory. Both come from the
    smallest and the largest measured size.
    """

    def __init__(self, measured: Mapping[int, float]) -> None:
        self._measured = measured
        (few, slow), (many, fast) = min(measured.items()), max(measured.items())
        self._work = (slow - fast) / (1 / few - 1 / many)
        self._fixed = slow - self._work / few

    def seconds(self, memory: int) -> float:
        return self._measured.get(memory, self._fixed + self._work / memory)

    def is_measured(self, memory: int) -> bool:
        return memory in self._measured


def processing_seconds(memory: int, inputs: Mapping[str, Any]) -> float:
    """Return the seconds of a warm upload, with its caption."""
    overhead: float = inputs["captions"]["overhead"]
    return _times(inputs).seconds(memory) * (1 + overhead)


def _times(inputs: Mapping[str, Any]) -> CaptionTimes:
    return CaptionTimes({int(size): seconds for size, seconds in inputs["captions"]["seconds"].items()})


def waiting(seconds: float) -> tuple[float, int]:
    """Return when a waiting request sees a result that is there after `seconds`, and how often it reads until then."""
    now, reads = 0.0, 1
    for pause in records.pauses():
        if now >= seconds:
            break
        now, reads = now + pause, reads + 1
    return now, reads


def places(seconds: float) -> float:
    """Return in how many windows of time, on average, a request counts itself that waits so long."""
    return 1 + seconds / waits.WINDOW_SECONDS


def point(way: str, used: Usage, memory: int, inputs: Mapping[str, Any]) -> Point:
    """Return the cost of a million images that came in this way."""
    prices, assumed = inputs["prices"], inputs["assumptions"]
    processing = processing_seconds(memory, inputs)
    waited, reads = waiting(processing + assumed["queue_seconds"]) if way == "direct" else (0.0, 0)
    counts = places(waited) if waited else 0
    captions = processing * memory / 1024 * prices["lambda_gb_second"]
    others = sum(
        _seconds(name, used, waited, assumed) * _memory_sizes()[name] / 1024
        for name in used.calls
        if name not in CAPTIONING
    )
    invocations = sum(used.calls.values())
    per_image = {
        "captions": captions + prices["lambda_request"],
        "other functions": others * prices["lambda_gb_second"] + (invocations - 1) * prices["lambda_request"],
        "API Gateway": (2 if way == "direct" else 1) * prices["api_gateway_request"],
        "DynamoDB": (used.units["dynamodb_write_unit"] + counts) * prices["dynamodb_write_unit"]
        + (used.units["dynamodb_read_unit"] + reads) * prices["dynamodb_read_unit"],
        "S3": sum(used.units[kind] * prices[kind] for kind in ("s3_put", "s3_get")),
        "SQS": used.units["sqs_request"] * prices["sqs_request"],
        "logs": invocations * assumed["log_bytes_per_call"] / _GIGA * prices["logs_gb"],
    }
    dollars = {service: cost * _MILLION for service, cost in per_image.items()}
    return Point(way, memory, _times(inputs).is_measured(memory), waited or processing, dollars)


def _seconds(function: str, used: Usage, waited: float, assumed: Mapping[str, float]) -> float:
    """Return the billed seconds of a function that captions nothing. GetImage waits for the worker."""
    share: float = min(1, _memory_sizes()[function] / MEGABYTES_PER_CPU)
    computing = used.cpu_seconds[function] / share + used.aws_calls[function] * assumed["aws_call_seconds"]
    return computing + (waited if function == WAITING else 0)


@cache
def _memory_sizes() -> dict[str, Any]:
    """Return the memory of each function. That of CAPTIONING is a parameter of the template."""
    return {name: properties["MemorySize"] for name, properties in template.functions(template.read()).items()}

"""What a day costs at most: each route at its highest rate, with the longest requests that clients can send.

The routes, rates and memory sizes come from template.yaml. inputs.toml has the longest request of each function.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from image_pipeline.storage import records, waits
from tools.measure.cost.usage import WAITING
from tools.template import Template, functions, number

_DAY = 86_400
_GIGA = 1_000_000_000
_FOLLOWER = "FollowImagesFunction"
_AUTHORIZER = "AuthorizeFunction"


class MissingInputError(Exception):
    """inputs.toml does not say what the longest request of a function needs."""


@dataclass(frozen=True)
class Source:
    """Something that clients can keep busy. `bound` says by what it is bounded.

    `environments` is how many environments of functions it keeps busy, after a burst. The costs are dollars per day.
    `at_timeout` is what it would cost if each request took the whole timeout of its function.
    """

    name: str
    bound: str
    environments: float
    dollars: float
    at_timeout: float


def sources(template: Template, inputs: Mapping[str, Any]) -> list[Source]:
    """Return all routes and queues of a template, with the values of its parameters. Raises MissingInputError."""
    routes = list(_routes(template, inputs))
    return [*routes, *_tokens(template, inputs), _waits(template, inputs), *_queues(template, inputs)]


def _routes(template: Template, inputs: Mapping[str, Any]) -> Iterator[Source]:
    for function, properties in functions(template).items():
        for event in properties.get("Events", {}).values():
            if event["Type"] == "Api":
                path, method = event["Properties"]["Path"], event["Properties"]["Method"]
                request = _longest(function, inputs)
                others = inputs["prices"]["api_gateway_request"] + _traffic(request, path, method, inputs)
                others += request.get("changes", 0) * _following(template, inputs)
                yield _called(f"{path}, {method}", _rate(template, path, method), function, others, template, inputs)


def _called(  # noqa: PLR0913 - what the cost depends on
    name: str, rate: float, function: str, others: float, template: Template, inputs: Mapping[str, Any], note: str = ""
) -> Source:
    """Return a function that is called `rate` times in a second. Each call causes other costs of `others` dollars."""
    properties, request = functions(template)[function], _longest(function, inputs)
    memory, seconds = number(template, properties["MemorySize"]), request["seconds"]
    fixed = others + _services(request, inputs)
    longest, at_timeout = (
        rate * _DAY * (fixed + _gb_seconds(memory, duration, inputs))
        for duration in (seconds, number(template, properties["Timeout"]))
    )
    return Source(name, f"{rate:g} per second{note}", rate * seconds, longest, at_timeout)


def _rate(template: Template, path: str, method: str) -> float:
    """Return how many requests of a method API Gateway passes on in a second. It counts each method alone."""
    settings = {
        (setting["ResourcePath"], setting["HttpMethod"]): setting
        for setting in template["Resources"]["Api"]["Properties"]["MethodSettings"]
    }
    found = settings.get((f"/{path.replace('/', '~1')}", method), settings["/*", "*"])
    return number(template, found["ThrottlingRateLimit"])


def _tokens(template: Template, inputs: Mapping[str, Any]) -> Iterator[Source]:
    """Yield the calls of the authorizer with ApiAuth=JWT. Each request of a route can have another token."""
    if _AUTHORIZER in functions(template):
        paths = template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"]
        rate = sum(_rate(template, path, method.upper()) for path, methods in paths.items() for method in methods)
        yield _called("tokens", rate, _AUTHORIZER, 0, template, inputs, note=", only with ApiAuth=JWT")


def _waits(template: Template, inputs: Mapping[str, Any]) -> Source:
    """Return the requests that wait for the end of a processing."""
    prices, properties = inputs["prices"], functions(template)[WAITING]
    limit = number(template, properties["Environment"]["Variables"]["MAX_CONCURRENT_WAITS"])
    pause = min(islice(records.pauses(), 2))
    second = (
        _gb_seconds(number(template, properties["MemorySize"]), 1, inputs)
        + prices["dynamodb_read_unit"] / pause
        + prices["dynamodb_write_unit"] / waits.WINDOW_SECONDS
    )
    dollars = limit * _DAY * second
    return Source("requests with ?wait=", f"{limit:g} at the same time", limit, dollars, dollars)


def _queues(template: Template, inputs: Mapping[str, Any]) -> Iterator[Source]:
    """Yield the queues and the stream. Clients fill only that of the worker; the routes pay for the stream."""
    for properties in functions(template).values():
        memory = number(template, properties["MemorySize"])
        for event in properties.get("Events", {}).values():
            match event:
                case {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": [queue, _]}}}:
                    scaling = event["Properties"].get("ScalingConfig")
                    workers = number(template, scaling["MaximumConcurrency"]) if scaling else 0
                    day = workers * _gb_seconds(memory, _DAY, inputs)
                    bound = f"{workers:g} workers" if workers else "only failures of S3 and DynamoDB fill it"
                    yield Source(queue, bound, workers, day, day)
                case {"Type": "DynamoDB", "Properties": {"ParallelizationFactor": factor}}:
                    batches = inputs["limits"]["table_partitions"] * number(template, factor)
                    busy = batches * _gb_seconds(memory, _DAY, inputs)
                    bound = f"counted with the routes; {batches:g} batches at the same time"
                    yield Source("stream of ImagesTable", bound, batches, 0, busy)


def _following(template: Template, inputs: Mapping[str, Any]) -> float:
    """Return what one event of the stream costs."""
    memory = number(template, functions(template)[_FOLLOWER]["MemorySize"])
    event = _longest(_FOLLOWER, inputs)
    return _services(event, inputs) + _gb_seconds(memory, event["seconds"], inputs)


def _traffic(request: Mapping[str, Any], path: str, method: str, inputs: Mapping[str, Any]) -> float:
    if method == "HEAD":  # the response has no body
        return 0
    sent = request.get("response_bytes", 0)
    return float((sent[path] if isinstance(sent, Mapping) else sent) / _GIGA * inputs["prices"]["internet_gb"])


def _longest(function: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = inputs["longest"][function]
    except KeyError:
        raise MissingInputError(f"inputs.toml has no [longest.{function}]") from None
    return found


def _services(request: Mapping[str, Any], inputs: Mapping[str, Any]) -> float:
    """Return what a call of a function costs besides its time and the traffic."""
    prices = inputs["prices"]
    return float(
        prices["lambda_request"]
        + request.get("writes", 0) * prices["dynamodb_write_unit"]
        + request.get("reads", 0) * prices["dynamodb_read_unit"]
        + request.get("puts", 0) * prices["s3_put"]
        + request.get("gets", 0) * prices["s3_get"]
        + request.get("sqs", 0) * prices["sqs_request"]
        + inputs["assumptions"]["log_bytes_per_call"] / _GIGA * prices["logs_gb"]
    )


def _gb_seconds(megabytes: float, seconds: float, inputs: Mapping[str, Any]) -> float:
    return float(megabytes / 1024 * seconds * inputs["prices"]["lambda_gb_second"])

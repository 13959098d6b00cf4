"""What a million images cost."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import pytest
from botocore.model import OperationModel

from clients import prices
from image_pipeline import settings
from image_pipeline.models import SHARED
from image_pipeline.storage import clients, keys, records, table, terms
from tests.events import load_event, upload_event
from tests.permissions import call
from tests.stored import table_items
from tests.transformed import core, of_type
from tools import template
from tools.deploy import checks
from tools.local.sample_images import IMAGE_ID
from tools.measure.cost import ceiling, inputs, points, usage
from tools.measure.cost.__main__ import idle
from tools.measure.cost.points import CaptionTimes
from tools.measure.cost.usage import Usage

INPUTS: dict[str, Any] = {
    "prices": {
        "date": date(2026, 11, 27),
        "lambda_gb_second": 1e-5,
        "lambda_request": 1e-7,
        "api_gateway_request": 1e-6,
        "dynamodb_write_unit": 1e-6,
        "dynamodb_read_unit": 1e-7,
        "s3_put": 1e-6,
        "s3_get": 1e-7,
        "sqs_request": 1e-7,
        "logs_gb": 1.0,
    },
    "captions": {"seconds": {"1024": 2.0, "2048": 1.2}, "overhead": 0.5},
    "assumptions": {"aws_call_seconds": 0.01, "log_bytes_per_call": 1000, "queue_seconds": 0.5},
}
PHOTOGRAPH = template.ROOT / "tests" / "photos" / "coffee.jpg"
ITEM = {"pk": {"S": "x"}, "text": {"S": "x" * 1500}}


def test_a_caption_time_that_is_not_measured_has_a_fixed_part() -> None:
    times = CaptionTimes({1000: 1.1, 2000: 0.6})
    assert times.seconds(1000) == 1.1
    assert times.is_measured(1000)
    # The fixed part is 0.1 s. The other part is one second with 1,000 MB, and a quarter of it with 4,000 MB.
    assert times.seconds(4000) == pytest.approx(0.35)
    assert not times.is_measured(4000)


@pytest.mark.parametrize(
    ("operation", "request_", "units"),
    [
        ("GetItem", {}, {"dynamodb_read_unit": 1}),
        ("BatchGetItem", {"RequestItems": {"table": {"Keys": [{}, {}]}}}, {"dynamodb_read_unit": 2}),
        ("PutItem", {"Item": ITEM}, {"dynamodb_write_unit": 2}),
        ("PutItem", {"Item": {**ITEM, "listing": {"S": "x"}}}, {"dynamodb_write_unit": 4}),
        ("UpdateItem", {}, {"dynamodb_write_unit": 1}),
        (
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"Item": {**ITEM, "listing": {"S": "x"}}}}, {"Update": {}}]},
            {"dynamodb_write_unit": 2 * 2 + 2 + 2},
        ),
        (
            "BatchWriteItem",
            {"RequestItems": {"table": [{"PutRequest": {"Item": ITEM}}, {"DeleteRequest": {}}]}},
            {"dynamodb_write_unit": 3},
        ),
    ],
)
def test_the_units_of_dynamodb(operation: str, request_: dict[str, Any], units: dict[str, int]) -> None:
    assert usage.dynamodb_units(operation, request_) == units


def test_a_form_costs_what_its_parts_cost() -> None:
    used = Usage(calls=Counter(UploadImageFunction=1, FollowImagesFunction=2))
    used.cpu_seconds["FollowImagesFunction"] = 0.1
    used.aws_calls["FollowImagesFunction"] = 5
    used.units.update(dynamodb_write_unit=10, dynamodb_read_unit=20, s3_put=2)
    form = points.point("form", used, 2048, INPUTS)
    assert form.seconds == pytest.approx(1.8)
    share = 512 / 1769  # of a vCPU
    expected = {
        "captions": 1.8 * 2 * 10 + 0.1,
        "other functions": (0.1 / share + 0.05) * 0.5 * 10 + 0.2,
        "API Gateway": 1,
        "DynamoDB": 12,
        "S3": 2,
        "SQS": 0,
        "logs": 3,
    }
    assert form.dollars == pytest.approx(expected)
    assert form.total == pytest.approx(sum(expected.values()))


def test_environments_and_snapshots_cost_money_while_nobody_uploads() -> None:
    prices = {"lambda_provisioned_gb_second": 4e-6, "lambda_snapshot_gb_second": 1e-6, "lambda_restore_gb": 1e-4}
    # 2.9375 GB for 2,628,000 seconds.
    assert idle(prices) == (
        "A provisioned environment of 3008 MB: 31 dollars a month. "
        "A snapshot: 8 dollars a month for each version, and 0.0003 for each restore."
    )


@pytest.mark.parametrize(
    ("seconds", "sees", "reads"), [(0, 0, 1), (0.1, 1, 2), (1, 1, 2), (1.01, 1.25, 3), (1.51, 1.75, 5)]
)
def test_a_waiting_request_sees_the_result_at_its_next_read(seconds: float, sees: float, reads: int) -> None:
    assert points.waiting(seconds) == (sees, reads)


def test_the_client_of_a_direct_upload_pays_for_waiting() -> None:
    used = Usage(calls=Counter(ProcessUploadFunction=1, GetImageFunction=1))
    direct = points.point("direct", used, 1024, INPUTS)
    assert direct.seconds == pytest.approx(3 + 0.5)
    memory = template.functions(template.read())["GetImageFunction"]["MemorySize"]
    assert direct.dollars["other functions"] == pytest.approx(3.5 * memory / 1024 * 10 + 0.1)
    assert direct.dollars["API Gateway"] == 2
    # At 0 s, at 1 s, and then every quarter of a second.
    # And a place among those that wait, for each window of 5 seconds.
    assert direct.dollars["DynamoDB"] == pytest.approx(12 * 0.1 + 1 + 3.5 / 5)


def counted(function: str, action: Callable[[], Any]) -> Counter[tuple[str, str, str]]:
    """Return the units of a function, by operation and kind, while `action` runs."""
    found: Counter[tuple[str, str, str]] = Counter()

    def count(model: OperationModel, params: dict[str, Any], **_: object) -> None:
        for kind, units in usage.billed_units(model, params).items():
            found[function.removesuffix("Function"), model.name, kind] += units

    used = (clients.dynamodb(), clients.s3(), clients.sqs())
    for client in used:
        client.meta.events.register("before-call", count)
    action()
    for client in used:
        client.meta.events.unregister("before-call", count)
    return found


def event_of(name: str, image_id: str) -> dict[str, Any]:
    """Return an event of the queue or the stream about an image."""
    event: dict[str, Any] = json.loads(json.dumps(load_event(name)).replace(IMAGE_ID, image_id))
    return event


def know_the_words_of(image_id: str) -> None:
    """Other images have the same words, as most images of a large table."""
    record = records.get(SHARED, image_id)
    table.write_batch([keys.word(SHARED, term) for term in terms.vocabulary(record.caption, record.original_name)])


def units_of_a_form() -> Counter[tuple[str, str, str]]:
    function, event = "UploadImageFunction", upload_event(PHOTOGRAPH.read_bytes(), PHOTOGRAPH.name)
    found = counted(function, lambda: call(function, event))
    (item,) = table_items("IMAGE#")
    know_the_words_of(item["image_id"])
    event = event_of("follow_images_finished", item["image_id"])
    return found + counted("FollowImagesFunction", lambda: call("FollowImagesFunction", event))


def units_of_a_direct_upload() -> Counter[tuple[str, str, str]]:
    """The client of the form calls PostObject. botocore does not have this call."""
    event = load_event("create_upload")
    event["body"] = json.dumps({"filename": PHOTOGRAPH.name, "content_type": "image/jpeg"})
    found = counted("CreateUploadFunction", lambda: call("CreateUploadFunction", event))
    (item,) = table_items("IMAGE#")
    image_id = keys.image_id(item["pk"])
    clients.s3().put_object(
        Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(image_id), Body=PHOTOGRAPH.read_bytes()
    )
    found["client", "PostObject", "s3_put"] = 1
    for function, name in (
        ("ProcessUploadFunction", "process_upload"),
        ("FollowImagesFunction", "follow_images_finished"),
        ("GetImageFunction", "get_image"),
    ):
        found += counted(function, partial(call, function, event_of(name, image_id)))
        if function == "ProcessUploadFunction":
            know_the_words_of(image_id)
    values = inputs.read()
    finished = points.processing_seconds(3008, values) + values["assumptions"]["queue_seconds"]
    waited, reads = points.waiting(finished)
    found["GetImage", "GetItem", "dynamodb_read_unit"] *= reads
    found["GetImage", "UpdateItem", "dynamodb_write_unit"] = round(points.places(waited))
    return found


UNITS = {"write": "dynamodb_write_unit", "read": "dynamodb_read_unit", "put": "s3_put", "get": "s3_get"}


@pytest.mark.usefixtures("aws", "quiet")
@pytest.mark.parametrize(
    ("column", "count"), [("form", units_of_a_form), ("direct", units_of_a_direct_upload)], ids=["form", "direct"]
)
def test_the_page_lists_what_an_image_uses(column: str, count: Callable[[], Counter[tuple[str, str, str]]]) -> None:
    page = (template.ROOT / "docs" / "costs.md").read_text().split("## What one image uses")[1]
    lines = [line for line in page.partition("\n## ")[0].splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    listed: Counter[tuple[str, str, str]] = Counter()
    sums: Counter[str] = Counter()
    for cells in rows:
        row = dict(zip(header, cells, strict=True))
        for number, unit in re.findall(r"(\d+) (write|read|put|get|request)", row[column]):
            is_sum = row["by"] == "sum"
            sums[unit] += -int(number) if is_sum else int(number)
            if unit in UNITS and not is_sum:
                listed[row["by"], row["call"].strip("`"), UNITS[unit]] += int(number)
    assert listed == count()
    assert not any(sums.values())


def settings_of(environment: str, **changes: str) -> dict[str, str]:
    """Return the settings of an environment in samconfig.toml, with changes."""
    config = tomllib.loads((template.ROOT / "samconfig.toml").read_text())
    lines = config[environment]["global"]["parameters"]["parameter_overrides"]
    return {**dict(line.split("=", 1) for line in lines), **changes}


SMALL_ACCOUNT = settings_of("default", ApiAuth="NONE", **checks.SMALL_ACCOUNT)


@pytest.mark.parametrize(
    ("parameters", "dollars"),
    [
        ({}, 150),
        (settings_of("default", ApiAuth="JWT"), 150),
        (settings_of("prod", ApiAuth="JWT"), 150),
        (SMALL_ACCOUNT, 15),
        (SMALL_ACCOUNT | {"ApiAuth": "JWT"}, 15),
    ],
    ids=["defaults", "default with tokens", "prod with tokens", "small account", "small account with tokens"],
)
def test_the_worst_day_of_everything_is_bounded(parameters: dict[str, str], dollars: float) -> None:
    found = ceiling.sources(template.read(parameters), inputs.read())
    assert dollars * 0.8 < sum(source.dollars for source in found) <= dollars


def test_no_abuse_takes_more_than_half_of_a_small_account() -> None:
    found = ceiling.sources(template.read(SMALL_ACCOUNT), inputs.read())
    assert max(source.environments for source in found) <= 5


def test_the_worst_day_counts_each_route_and_queue_of_the_stack() -> None:
    names = {source.name for source in ceiling.sources(template.read(), inputs.read())}
    (api,) = of_type(core()["Resources"], "AWS::ApiGateway::RestApi").values()
    routes = {
        f"{path}, {method.upper()}"
        for path, methods in api["Properties"]["Body"]["paths"].items()
        for method in methods
    }
    mappings = of_type(core()["Resources"], "AWS::Lambda::EventSourceMapping").values()
    sources = {mapping["Properties"]["EventSourceArn"]["Fn::GetAtt"][0] for mapping in mappings}
    assert names == routes | {"requests with ?wait=", "stream of ImagesTable"} | (sources - {"ImagesTable"})


def test_a_function_without_its_longest_request_is_an_error() -> None:
    values = inputs.read()
    longest = {name: value for name, value in values["longest"].items() if name != "GetStatsFunction"}
    with pytest.raises(ceiling.MissingInputError, match="GetStatsFunction"):
        ceiling.sources(template.read(), {**values, "longest": longest})


def test_the_rate_of_a_route_counts_alone() -> None:
    described = template.read({"ThrottlingRateLimit": 10, "UploadRateLimit": 4})
    bounds = {source.name: source.bound for source in ceiling.sources(described, inputs.read())}
    assert bounds["/api/images, POST"] == bounds["/api/uploads, POST"] == "4 per second"
    assert bounds["/api/images/check, POST"] == "4 per second"
    assert bounds["/api/images, GET"] == "10 per second"


def test_the_prices_that_commands_show() -> None:
    page = (template.ROOT / "docs" / "costs.md").read_text()
    (total,) = re.findall(r"^\| direct \| 3008 MB \| [\d.]+ \| ([\d.]+) \|", page, re.MULTILINE)
    assert pytest.approx(float(total) / 1e6, rel=0.02) == prices.TYPICAL_DOLLARS
    described = template.read()
    worker = template.functions(described)["ProcessUploadFunction"]
    attempts = described["Resources"]["UploadsQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
    seconds, memory = worker["Timeout"], template.number(described, worker["MemorySize"])
    longest = attempts * seconds * memory / 1024 * inputs.read()["prices"]["lambda_gb_second"]
    assert longest + float(total) / 1e6 == pytest.approx(prices.MAX_DOLLARS, rel=0.01)

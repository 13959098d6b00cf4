"""What a million images cost."""

from collections import Counter
from datetime import date
from typing import Any

import pytest

from tools.measure.cost import points, usage
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


def test_the_client_of_a_direct_upload_pays_for_waiting() -> None:
    used = Usage(calls=Counter(ProcessUploadFunction=1, GetImageFunction=1))
    direct = points.point("direct", used, 1024, INPUTS)
    assert direct.seconds == pytest.approx(3 + 0.5)
    assert direct.dollars["other functions"] == pytest.approx(3.5 * 0.5 * 10 + 0.1)
    assert direct.dollars["API Gateway"] == 2

"""Storage for the fault tests: moto, and DynamoDB Local, whose transactions behave like those of DynamoDB."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_pipeline.storage import clients
from tests.faults.injection import Fault
from tests.faults.pipeline import Pipeline
from tests.in_process import aws, quiet, table_definition, variables
from tools.local import engines

__all__ = ["aws", "quiet", "table_definition", "variables"]

TABLES = Path("build/faults")


@pytest.fixture(scope="session")
def dynamodb_url() -> Iterator[str]:
    with engines.dynamodb("127.0.0.1", engines.free_port("127.0.0.1")) as engine:
        engine.wait()
        yield engine.url


Outcomes = dict[tuple[str, str], set[str]]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """The responses to clients, per call and fault. At the end they are written as a table for docs/reliability.md."""
    seen: Outcomes = defaultdict(set)
    yield seen
    calls = list(dict.fromkeys(call for call, _ in seen))
    lines = [f"| fault | {' | '.join(calls)} |", "|---" * (len(calls) + 1) + "|"]
    for fault in Fault:
        if any(seen[call, fault] for call in calls):
            responses = (", or ".join(sorted(seen[call, fault])) or "–" for call in calls)  # noqa: RUF001 - for readers
            lines.append(f"| {fault} | {' | '.join(responses)} |")
    TABLES.mkdir(parents=True, exist_ok=True)
    (TABLES / f"{request.module.__name__.rpartition('.')[2]}.md").write_text("\n".join(lines) + "\n")


@pytest.fixture(params=["moto", "DynamoDB Local", "Owners=caller"])
def pipeline(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """The pipeline on empty storage."""
    request.getfixturevalue("aws")
    request.getfixturevalue("quiet")
    if request.param == "moto":
        yield Pipeline()
        return
    url, name = request.getfixturevalue("dynamodb_url"), os.environ["TABLE_NAME"]
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
    clients.dynamodb.cache_clear()
    local = clients.dynamodb()
    local.create_table(TableName=name, **request.getfixturevalue("table_definition"))
    caller = None
    if request.param == "Owners=caller":
        caller = "aaaaaaaaaa"
        monkeypatch.setenv("OWNER_MAX_IMAGES", "1000000")
        monkeypatch.setenv("OWNER_DAILY_UPLOADS", "100000")
    yield Pipeline(caller)
    clients.dynamodb.cache_clear()
    local.delete_table(TableName=name)

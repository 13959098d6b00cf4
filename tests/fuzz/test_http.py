"""Sends to the local API the requests that schemathesis generates from functions/show_page/openapi.json.

No response may be a 5xx, and each response must match its description.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.contract.client import Client
from tests.fuzz.test_fuzz import TIMES
from tests.pictures import scene_png
from tools.local import server

pytestmark = [
    pytest.mark.usefixtures("quiet"),
    # Pillow warns about files that it repairs.
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
]

HERE = Path(__file__).parent
REPORT = Path("build/schemathesis.json")
SEED = 1


@pytest.fixture
def api() -> Iterator[Client]:
    # API_URL is ignored, because thousands of requests must only go to this machine.
    with server.run(parameters={"Duplicates": "find"}) as running:
        yield Client(running.url)


def test_requests_made_from_the_description(api: Client) -> None:
    for name in ("first.png", "second.png"):
        api.uploaded(scene_png(), name)
    next_page = urlsplit(api.get("/api/images?limit=1").json()["next"])
    settings = {
        "CURSOR": parse_qs(next_page.query)["cursor"][0],
        "SCHEMATHESIS_HOOKS": "tests.fuzz.schemathesis_hooks",
        # Pillow warns about images that it repairs.
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": ".",
    }
    command = (
        f"--config-file {HERE / 'schemathesis.toml'} run functions/show_page/openapi.json --url {api.url} --seed {SEED}"
    )
    limits = f"--max-examples {100 * TIMES} --request-timeout 30 --generation-database none --no-color"
    report = f"--report json --report-json-path {REPORT}"
    run = [str(Path(sys.executable).with_name("schemathesis")), *f"{command} {limits} {report}".split()]
    assert subprocess.run(run, env=os.environ | settings, check=False).returncode == 0
    assert json.loads(REPORT.read_bytes())["test_cases"]["generated"] >= 800

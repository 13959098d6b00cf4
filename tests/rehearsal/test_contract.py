"""The contract tests against a deployed stack, before and after its settings change."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import requests

from tests.pictures import scene_png
from tests.rehearsal.stack import MODEL, Stack

CONTRACT = Path("tests/contract")
# The tests of these files also send requests without the client, and so without the key.
WITHOUT_CLIENT = {"test_thumbnails", "test_generated_client", "test_direct_uploads", "test_deletion", "test_pages"}
# The README's lines are for an API without a key, and the limits of a form take long.
WITHOUT_KEY = {"test_readme", "test_examples", "test_forms", "test_limits", "test_formats"}


def contract(stack: Stack, *files: Path, key: str = "") -> int:
    """Run all contract tests, or only those of some files. Return the exit status of pytest."""
    variables = {"API_URL": stack.api_url, "API_MODEL": "demo", "API_KEY": key}
    # When a redirect is followed, the emulator leaves the first connection open.
    options = ["--quiet", "--show-capture=no", "-W", "ignore::pytest.PytestUnraisableExceptionWarning"]
    command = [sys.executable, "-m", "pytest", *(files or [CONTRACT]), *options]
    return subprocess.call(command, env=os.environ | variables)


def test_the_contract_holds_before_and_after_an_update(stack: Stack, tmp_path: Path) -> None:
    # The tests send more requests than the default rates and a key allow, and the emulator refuses them.
    limits = {
        f"{kind}{limit}Limit": "1000" for kind in ("Upload", "Throttling", "ApiKey") for limit in ("Rate", "Burst")
    }
    stack.deploy(limits)
    assert contract(stack) == 0

    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    described = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(described | {"revision": "another"}))
    stack.deploy({"ApiAuth": "API_KEY", "AllowedOrigins": "https://app.example"} | limits, model=model)

    for method, path in [("GET", "images"), ("POST", "images"), ("POST", "uploads"), ("GET", "stats")]:
        response = requests.request(method, f"{stack.api_url}/api/{path}", timeout=30)
        assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (403, "*")
    first_key = boto3.client("apigateway").get_api_key(apiKey=stack.outputs()["FirstApiKeyId"], includeValue=True)
    key = first_key["value"]
    uploaded = requests.post(
        f"{stack.api_url}/api/images?details=caption",
        files={"file": ("scene.png", scene_png())},
        headers={"x-api-key": key, "Origin": "https://app.example"},
        timeout=60,
    )
    assert uploaded.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert uploaded.json()["data"]["caption_details"]["revision"] == "another"
    left_out = WITHOUT_CLIENT | WITHOUT_KEY
    files = [path for path in sorted(CONTRACT.glob("test_*.py")) if path.stem not in left_out]
    assert contract(stack, *files, key=key) == 0

"""make deploy, at a terminal with a person, and called by a program."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from tests.integration.deploying import ACCOUNT, CHECKED, SMALL_ACCOUNT, Workspace, aws_account, lambda_stand_in
from tools import template
from tools.local import server
from tools.local.access import API_KEY
from tools.local.server import LocalApi

# The other tests of this folder share a process.
pytestmark = pytest.mark.xdist_group("deploy")

DEFAULTS = {name: str(described["Default"]) for name, described in template.raw()["Parameters"].items()}
UNDECIDED = {"ApiAuth": "undecided"}
SETTINGS = """\
# A comment.
[default.global.parameters]
stack_name = "a-stack"
parameter_overrides = [
{lines}
]

[default.deploy.parameters]
capabilities = "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
"""
REGION = "eu-west-1"
ACCESS_QUESTION = "API_KEY, JWT, AWS_IAM or NONE: "
MakeWorkspace = Callable[..., Workspace]
Account = Callable[[Any], Any]


@pytest.fixture(scope="module")
def api(request: pytest.FixtureRequest) -> Iterator[LocalApi]:
    """The API whose URL the stack has."""
    with server.run(parameters={"ApiAuth": getattr(request, "param", "NONE")}) as running:
        yield running


@pytest.fixture(scope="module")
def account(api: LocalApi) -> Iterator[Account]:  # noqa: ARG001 - its credentials are needed
    """An AWS account. Yields a function that makes the client of a service."""
    with aws_account() as url:
        yield partial(boto3.client, region_name=REGION, endpoint_url=url)


@pytest.fixture
def workspace(api: LocalApi, account: Account, tmp_path: Path) -> Iterator[MakeWorkspace]:
    """Return a function that makes the folder, the account, and the outputs of the stub."""
    cloudformation = account("cloudformation")
    with ExitStack() as stack:

        def make(
            limit: dict[str, int] = ACCOUNT, checked: dict[str, Any] = CHECKED, key_id: str = "", **settings: str
        ) -> Workspace:
            lines = [f"    \"{name}='{value}'\"," for name, value in (DEFAULTS | UNDECIDED | settings).items()]
            (tmp_path / "samconfig.toml").write_text(SETTINGS.format(lines="\n".join(lines)))
            programs = tmp_path / "bin"
            programs.mkdir()
            stub = programs / "sam"
            shutil.copy(Path(__file__).with_name("stub_of_sam.py"), stub)
            stub.write_text(f"#!{sys.executable}\n{stub.read_text()}")
            (programs / "docker").write_text("#!/bin/sh\necho 29.0.1\n")
            for program in (stub, programs / "docker"):
                program.chmod(0o755)
            outputs = {"ApiUrl": api.url, "CheckVersionFunctionName": "the-check"}
            if key_id:
                outputs["FirstApiKeyId"] = key_id
            url = stack.enter_context(lambda_stand_in(limit, checked))
            endpoints = {"AWS_ENDPOINT_URL": cloudformation.meta.endpoint_url, "AWS_ENDPOINT_URL_LAMBDA": url}
            return Workspace(tmp_path, stub, endpoints | {"STUB_OUTPUTS": json.dumps(outputs)})

        yield make
    cloudformation.delete_stack(StackName="a-stack")


def test_a_first_deployment_in_a_new_account(workspace: MakeWorkspace, api: LocalApi) -> None:
    at = workspace(SMALL_ACCOUNT)
    before = requests.get(f"{api.url}/api/stats", timeout=10).json()["data"]
    with at.person() as person:
        person.answer("Region: ", "")
        person.answer("Region: ", "Ireland")
        person.answer("Region: ", REGION)
        person.wait_for("PROBLEM  concurrency   the account has 10 concurrent executions: set MaxConcurrentWorkers=2")
        person.answer("Write these values to samconfig.toml? [y/N]: ", "y")
        person.wait_for("NONE      anybody who knows the URL can upload, read and delete images, and you pay for it")
        person.answer(ACCESS_QUESTION, "")
        person.wait_for("There is no default.")
        person.answer(ACCESS_QUESTION, "nobody")
        person.answer(ACCESS_QUESTION, "NONE")
        person.wait_for("CloudFormation stack changeset")
        person.answer("Deploy this changeset? [y/N]: ", "y")
        ended = person.end()
    assert ended.status == 0, ended.output
    assert "first caption      9.5 s  known.jpg: a cup of coffee" in ended.output
    assert "second caption     0.8 s  known.png: a red circle" in ended.output
    assert "coffee.jpg got its caption in" in ended.output
    assert f"Done. The API: {api.url}\n" in ended.output
    assert "until AlarmTopicArn names a topic" in ended.output
    assert "docs/first-hour.md" in ended.output
    # The picture is deleted again.
    assert "content" not in requests.get(f"{api.url}/api/images", timeout=10).json()
    statistics = requests.get(f"{api.url}/api/stats", timeout=10).json()["data"]
    assert (statistics["success"], statistics["failure"]) == (before["success"] + 1, before["failure"])
    assert at.sam_commands == [
        "validate --lint --config-env default --region eu-west-1",
        "build --config-env default --region eu-west-1",
        "deploy --config-env default --region eu-west-1 --confirm-changeset --no-fail-on-empty-changeset",
    ]
    for line in ('"ApiAuth=NONE",', '"MaxConcurrentWorkers=2",', '"MaxConcurrentFollowers=1",', 'region = "eu-west-1"'):
        assert line in at.settings
    assert at.settings.startswith("# A comment.\n")


def test_a_second_deployment_asks_nothing_but_the_change_set(workspace: MakeWorkspace) -> None:
    at = workspace(ApiAuth="NONE", UseCanary="true")
    first = at.alone("--region", REGION, "--yes")
    assert first.status == 0, first.output
    # The canary has already checked the version.
    assert "first caption" not in first.output
    before = at.settings
    with at.person() as person:
        person.wait_for("ok       stack         a-stack is CREATE_COMPLETE")
        person.answer("Deploy this changeset? [y/N]: ", "")
        ended = person.end()
    assert ended.status == 1
    assert "error: nothing was deployed: the change set was not carried out" in ended.output
    assert at.settings == before


def test_tokens_need_an_issuer_and_nothing_is_uploaded_without_one(workspace: MakeWorkspace, api: LocalApi) -> None:
    at = workspace()
    with at.person("--region", REGION) as person:
        person.answer(ACCESS_QUESTION, "jwt")
        person.answer("Issuer: ", "issuer.test")
        person.wait_for("Please type a URL that begins with https://.")
        person.answer("Issuer: ", "https://issuer.test/")
        person.answer("Audience [image-pipeline]: ", "")
        person.answer("Deploy this changeset? [y/N]: ", "y")
        ended = person.end()
    assert ended.status == 0, ended.output
    assert f'curl -H "Authorization: Bearer $TOKEN" -F file=@tests/photos/coffee.jpg {api.url}' in ended.output
    assert "got its caption" not in ended.output
    for line in ('"ApiAuth=JWT",', '"JwtIssuer=https://issuer.test/",', "\"JwtAudience='image-pipeline'\""):
        assert line in at.settings


def test_ctrl_c_at_a_question_changes_nothing(workspace: MakeWorkspace) -> None:
    at = workspace()
    before = at.settings
    with at.person("--region", REGION) as person:
        person.interrupt(ACCESS_QUESTION)
        ended = person.end()
    assert (ended.status, at.settings) == (130, before)
    assert ended.output.endswith("\nstopped\n")
    with at.person("--region", REGION) as person:
        person.wait_for(ACCESS_QUESTION)
        person.press(b"\x04")  # Ctrl-D
        ended = person.end()
    assert (ended.status, at.settings) == (1, before)
    assert "error: the questions were not answered: nothing was changed" in ended.output


def test_ctrl_c_during_the_build_lets_sam_clean_up(workspace: MakeWorkspace) -> None:
    at = workspace()
    at.environment["STUB_WAITS"] = "build"
    with at.person("--region", REGION, "--auth", "NONE") as person:
        person.interrupt("the stub of SAM runs build")
        ended = person.end()
    assert ended.status == 130
    assert "the stub of SAM has cleaned up" in ended.output
    assert '"ApiAuth=NONE",' in at.settings
    assert [command.split()[0] for command in at.sam_commands] == ["validate", "build"]


def test_without_a_terminal_each_missing_answer_is_named(workspace: MakeWorkspace) -> None:
    at = workspace()
    before = at.settings
    ended = at.alone()
    assert ended.status == 1
    problems = [line for line in ended.output.splitlines() if line.startswith("PROBLEM")]
    assert ["AUTH=" in problems[0], "REGION=" in problems[1], "YES=1" in problems[2]] == [True] * 3
    assert "error: 3 problems, nothing was changed" in ended.output
    ended = at.alone("--region", REGION, "--auth", "JWT", "--yes")
    assert "ApiAuth=JWT needs the issuer of the tokens: add ISSUER=" in ended.output
    assert at.settings == before
    assert {command.split()[0] for command in at.sam_commands} == {"validate"}


def test_a_version_without_captions_fails_the_command(workspace: MakeWorkspace) -> None:
    failed = {"name": "known.jpg", "seconds": 28.0, "status": 503, "caption": None}
    at = workspace(checked={"passed": False, "pictures": [failed], "reason": "the JPEG got no caption"}, ApiAuth="NONE")
    ended = at.alone("--region", REGION, "--yes")
    assert ended.status == 1
    assert "known.jpg: no caption, status 503" in ended.output
    assert "does not work (the JPEG got no caption)" in ended.output


@pytest.mark.parametrize("command", ["build", "deploy"])
def test_a_failure_of_sam_says_what_to_do(workspace: MakeWorkspace, command: str) -> None:
    at = workspace(ApiAuth="NONE")
    at.environment["STUB_FAILS"] = command
    ended = at.alone("--region", REGION, "--yes")
    assert ended.status == 1
    assert f"error: sam {command} failed: correct what it says above" in ended.output


def test_the_doctor_changes_nothing(workspace: MakeWorkspace) -> None:
    at = workspace(SMALL_ACCOUNT)
    before = at.settings
    ended = at.alone("--doctor", "--region", REGION)
    assert (ended.status, at.settings) == (1, before)
    assert [line.split()[1] for line in ended.output.splitlines() if line.startswith("PROBLEM")] == [
        "settings",
        "concurrency",
    ]
    ended = at.alone("--doctor", "--region", REGION, "--auth", "NONE")
    assert "settings" not in [line.split()[1] for line in ended.output.splitlines() if line.startswith("PROBLEM")]


@pytest.mark.parametrize("api", ["API_KEY"], indirect=True)
def test_without_a_terminal_everything_can_be_given(workspace: MakeWorkspace, account: Account) -> None:
    key = account("apigateway").create_api_key(name="first", value=API_KEY)
    at = workspace(SMALL_ACCOUNT, key_id=key["id"])
    ended = at.alone("--region", REGION, "--auth", "API_KEY", "--yes")
    assert ended.status == 0, ended.output
    assert "coffee.jpg got its caption in" in ended.output
    assert "aws apigateway get-api-key --include-value" in ended.output
    assert API_KEY not in ended.output
    assert at.sam_commands[-1].endswith("--no-confirm-changeset --no-fail-on-empty-changeset")
    assert '"MaxConcurrentWorkers=2",' in at.settings

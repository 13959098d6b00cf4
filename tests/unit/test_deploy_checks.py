"""The checks of make doctor, and the message of each failure."""

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from tools import lambda_python, template
from tools.deploy import checks, sam
from tools.deploy.__main__ import main
from tools.deploy.errors import DeployError
from tools.deploy.settings_file import Settings

REGION = "eu-west-1"
DEFAULTS = {name: str(described["Default"]) for name, described in template.raw()["Parameters"].items()}
SETTINGS = Settings("default", "a-stack", REGION, None, DEFAULTS)
Script = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return a function that puts a program first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(name: str, text: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return write


def session_with(client: Any) -> Any:
    """Return a session with one client, which is stubbed."""
    return Mock(client=Mock(return_value=client))


def quota(limit: int, values: dict[str, str], unreserved: int | None = None, reserved: int = 0) -> checks.Result:
    client = boto3.client("lambda", region_name=REGION)
    limits = {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": unreserved or limit}
    with Stubber(client) as stub:
        stub.add_response("get_account_settings", {"AccountLimit": limits})
        stack = checks.Stack("UPDATE_COMPLETE", parameters={"MaxConcurrentUploads": str(reserved)})
        return checks.quota(session_with(client), replace(SETTINGS, values={**DEFAULTS, **values}), stack)


def test_docker_responds(script: Script) -> None:
    script("docker", "echo 29.0.1")
    assert str(checks.docker()) == "ok       Docker        29.0.1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo first >&2; echo 'permission denied' >&2; exit 1", "allow this user to use it (permission denied)"),
        ("exit 1", "start it, and allow this user to use it (no reason given)"),
    ],
)
def test_docker_does_not_respond(script: Script, text: str, said: str) -> None:
    script("docker", text)
    result = checks.docker()
    assert result.is_problem
    assert said in result.text


def test_docker_is_missing_or_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install the engine" in checks.docker().text
    monkeypatch.setattr(subprocess, "run", Mock(side_effect=subprocess.TimeoutExpired("docker", 30)))
    assert "does not answer within 30 s" in checks.docker().text


def python_in(folder: Path) -> Path:
    """A program named python3.13 that says where it is, as the real one does."""
    folder.mkdir(parents=True)
    path = folder / "python3.13"
    path.write_text(f"#!/bin/sh\necho {path}\n")
    path.chmod(0o755)
    return path


def test_the_shim_of_pyenv_does_not_win(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script("python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LAMBDA_PYTHON", raising=False)
    assert lambda_python.folder() is None
    assert "run pyenv install 3.13" in checks.python().text
    real = python_in(tmp_path / ".pyenv" / "versions" / "3.13.9" / "bin")
    assert checks.python() == checks.Result("python3.13", str(real.parent))


def test_a_shim_that_works_leads_to_the_real_python(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = python_in(tmp_path / "real")
    script("python3.13", f"exec {real}")
    monkeypatch.delenv("LAMBDA_PYTHON", raising=False)
    assert lambda_python.folder() == real.parent


def test_lambda_python_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = python_in(tmp_path / "named")
    monkeypatch.setenv("LAMBDA_PYTHON", str(named))
    assert lambda_python.folder() == named.parent
    assert sam._environment(SETTINGS)["PATH"].startswith(f"{named.parent}:")  # noqa: SLF001


@pytest.mark.parametrize(("machine", "wanted"), [("x86_64", "x86_64"), ("aarch64", "arm64"), ("AMD64", "x86_64")])
def test_this_machine_builds_for_its_own_processor(monkeypatch: pytest.MonkeyPatch, machine: str, wanted: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    other = {"x86_64": "arm64", "arm64": "x86_64"}[wanted]
    assert not checks.architecture(replace(SETTINGS, values={"Architecture": wanted})).is_problem
    text = checks.architecture(replace(SETTINGS, values={"Architecture": other})).text
    assert f"set Architecture={wanted}" in text


def test_the_template_is_checked_by_sam(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sam, "SAM", str(script("sam", '[ "$*" = "validate --lint --config-env default --region eu-west-1" ]'))
    )
    assert not checks.valid_template(SETTINGS).is_problem
    script("sam", "echo 'Error: [E3012] ...' >&2; exit 1")
    assert checks.valid_template(SETTINGS).text == "correct template.yaml: Error: [E3012] ..."


def test_credentials_are_known() -> None:
    assert checks.credentials(checks.session_of(SETTINGS)).text.startswith("account 123456789012, arn:aws:")


def test_credentials_are_missing_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("sts", region_name=REGION)
    with Stubber(client) as stub:
        stub.add_client_error("get_caller_identity", "ExpiredToken", "The security token\nhas expired")
        result = checks.credentials(session_with(client))
    assert result.is_problem
    assert "aws sso login" in result.text
    assert "\n" not in result.text
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    assert "Unable to locate credentials" in checks.credentials(boto3.Session(region_name=REGION)).text


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(DeployError, match="correct the profile"):
        checks.session_of(replace(SETTINGS, profile="nobody"))


def test_the_region_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.own_region(SETTINGS) == REGION
    unknown = replace(SETTINGS, region=None)
    assert checks.own_region(unknown) is None
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    assert checks.own_region(unknown) == "eu-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert checks.own_region(unknown) == "eu-west-3"


def test_a_new_account_gets_values_that_fit() -> None:
    result = quota(10, {"MaxConcurrentUploads": "5"})
    assert result.proposal == {**checks.SMALL_ACCOUNT, "MaxConcurrentUploads": "0"}
    assert result.text.startswith("the account has 10 concurrent executions: set MaxConcurrentUploads=0, ")
    assert not quota(10, dict(result.proposal)).is_problem


def test_a_new_account_cannot_keep_environments_ready() -> None:
    schedule = {"ProvisionedFrom": "cron(0 7 ? * MON-FRI *)", "ProvisionedUntil": "cron(0 19 ? * MON-FRI *)"}
    result = quota(10, {"StartMode": "provisioned", **schedule})
    assert result.proposal["StartMode"] == "on-demand"
    assert (result.proposal["ProvisionedFrom"], result.proposal["ProvisionedUntil"]) == ("", "")


def test_values_that_fit_into_a_small_quota_may_stay() -> None:
    fitting = {"MaxConcurrentWorkers": "10", "MaxConcurrentFollowers": "5", "MaxConcurrentWaits": "10"}
    assert not quota(50, fitting).is_problem
    assert quota(50, {**fitting, "UploadRateLimit": "0.05"}).proposal == {}
    # Lower values than those for a small account stay too.
    proposal = quota(50, {"UploadRateLimit": "0.05"}).proposal
    assert "UploadRateLimit" not in proposal
    assert proposal["MaxConcurrentWorkers"] == "2"
    assert not quota(100, {}).is_problem
    assert not quota(1000, {"StartMode": "provisioned", "ProvisionedEnvironments": "900"}).is_problem


@pytest.mark.parametrize(
    ("unreserved", "reserved", "values", "problem"),
    [
        (1000, 0, {"MaxConcurrentUploads": "901"}, "MaxConcurrentUploads=901, but the account has only 900"),
        (500, 0, {"MaxConcurrentUploads": "401"}, "MaxConcurrentUploads=401, but the account has only 400"),
        (500, 200, {"MaxConcurrentUploads": "600"}, None),  # of which the stack already has 200
        (
            150,
            0,
            {"StartMode": "provisioned", "ProvisionedEnvironments": "51"},
            "ProvisionedEnvironments=51, but the account has only 50",
        ),
    ],
)
def test_the_account_keeps_executions_for_its_other_functions(
    unreserved: int, reserved: int, values: dict[str, str], problem: str | None
) -> None:
    result = quota(1000, values, unreserved, reserved)
    assert result.is_problem == bool(problem)
    assert result.text.startswith(problem or "the account has 1000")


def test_a_role_that_may_not_read_the_quota_can_deploy() -> None:
    client = boto3.client("lambda", region_name=REGION)
    with Stubber(client) as stub:
        stub.add_client_error("get_account_settings", "AccessDeniedException")
        result = checks.quota(session_with(client), SETTINGS, checks.Stack())
    assert not result.is_problem
    assert "not checked" in result.text


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (None, None),
        ("CREATE_COMPLETE", None),
        ("UPDATE_ROLLBACK_COMPLETE", None),
        ("REVIEW_IN_PROGRESS", None),
        ("ROLLBACK_COMPLETE", "run sam delete --stack-name a-stack --region eu-west-1, then deploy again"),
        ("DELETE_FAILED", "run sam delete --stack-name a-stack"),
        ("UPDATE_ROLLBACK_FAILED", "run aws cloudformation continue-update-rollback --stack-name a-stack"),
        ("UPDATE_FAILED", "run aws cloudformation rollback-stack --stack-name a-stack"),
        ("UPDATE_IN_PROGRESS", "wait until CloudFormation has finished"),
    ],
)
def test_each_state_of_a_stack_that_refuses_an_update_has_a_remedy(status: str | None, remedy: str | None) -> None:
    result = checks.state(SETTINGS, checks.Stack(status))
    assert result.is_problem == bool(remedy)
    assert (remedy or "") in result.text


def test_a_stack_is_described() -> None:
    session = checks.session_of(SETTINGS)
    assert checks.describe(session, "a-stack") == checks.Stack()
    described = {
        "Parameters": {"ApiAuth": {"Type": "String"}},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"ApiUrl": {"Value": "https://api.example"}},
    }
    session.client("cloudformation").create_stack(
        StackName="a-stack",
        TemplateBody=json.dumps(described),
        Parameters=[{"ParameterKey": "ApiAuth", "ParameterValue": "JWT"}],
    )
    stack = checks.describe(session, "a-stack")
    assert (stack.status, stack.parameters, stack.outputs) == (
        "CREATE_COMPLETE",
        {"ApiAuth": "JWT"},
        {"ApiUrl": "https://api.example"},
    )


def test_all_checks_run_also_after_a_problem(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    script("docker", "exit 1")
    monkeypatch.setattr(checks, "valid_template", lambda _: checks.Result("template", "stands for cfn-lint"))
    values = {name: value for name, value in DEFAULTS.items() if name != "MaxConcurrentWorkers"}
    results = checks.run_all(replace(SETTINGS, values=values), template.raw())
    names = ["settings", "Docker", "python3.13", "processor", "template", "region", "credentials"]
    assert [result.name for result in results] == [*names, "concurrency", "stack"]
    assert [result.name for result in results if result.is_problem] == ["settings", "Docker"]
    for region, text in ((None, "REGION="), ("eu_west", "eu_west is no region")):
        last = checks.run_all(replace(SETTINGS, region=region), template.raw())[-1]
        assert last.is_problem
        assert text in last.text


def test_the_workflow_refuses_a_removed_line_and_another_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"    \"{name}='{value}'\",\n" for name, value in DEFAULTS.items()]
    head = '[prod.global.parameters]\nstack_name = "a-stack"\nregion = "eu-west-1"\nparameter_overrides = [\n'
    tail = ']\n[prod.deploy.parameters]\ncapabilities = "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"\n'
    path = tmp_path / "samconfig.toml"
    monkeypatch.chdir(tmp_path)
    command = ["--environment", "prod", "--check-settings"]
    path.write_text(head + "".join(lines) + tail)
    assert main(command) == 0
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert main(command) == 1
    assert "but AWS_REGION is eu-west-2: make them equal" in capsys.readouterr().out
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    path.write_text(head + "".join(line for line in lines if "UseTracing" not in line) + tail)
    assert main(command) == 1
    assert "UseTracing has no line" in capsys.readouterr().out
    assert main(["--environment", "test", "--doctor"]) == 1
    assert capsys.readouterr().err.startswith("error: samconfig.toml has no [test.global.parameters]")

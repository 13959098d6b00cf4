"""What can be checked before a deployment.

Each check returns one line. If there is a problem, the line says what to do.
"""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from tools import lambda_python
from tools.deploy import rules, sam
from tools.deploy.errors import DeployError
from tools.deploy.settings_file import Settings
from tools.template import Template

_CONFIG = Config(connect_timeout=10, read_timeout=20, retries={"total_max_attempts": 3})
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
REGION = r"[a-z]{2,}(-[a-z]+)+-\d"
# AWS keeps this number of concurrent executions for the functions that reserve none.
# For the 10 concurrent executions of a new account. Abuse then costs at most 15 dollars a day (docs/costs.md). After a
# burst, it never takes all 10.
SMALL_ACCOUNT = {
    "MaxConcurrentWorkers": "2",
    "MaxConcurrentFollowers": "1",
    "MaxConcurrentWaits": "1",
    "UploadRateLimit": "0.1",
    "UploadBurstLimit": "2",
    "ThrottlingRateLimit": "0.1",
    "ThrottlingBurstLimit": "20",
}
_MIN_UNRESERVED = 100
# How many shards the stream of an on-demand table usually has at first.
_SHARDS = 4


@dataclass(frozen=True)
class Result:
    """What a check found. `proposal` has other values of settings that solve the problem."""

    name: str
    text: str
    is_problem: bool = False
    proposal: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{'PROBLEM' if self.is_problem else 'ok':<8} {self.name:<13} {self.text}"


@dataclass(frozen=True)
class Stack:
    """A deployed stack, without values if it does not exist. `change` differs after each deployment."""

    status: str | None = None
    change: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


def run_all(settings: Settings, template: Template) -> list[Result]:
    """Run all checks, even after one has found a problem."""
    results = [*settings_file(settings, template), docker(), python(), architecture(settings), valid_template(settings)]
    if not settings.region:
        text = "unknown: give it as REGION=, for example make deploy REGION=eu-west-1; AWS was not asked anything"
        return [*results, Result("region", text, is_problem=True)]
    if not re.fullmatch(REGION, settings.region):
        text = f"{settings.region} is no region: give one such as eu-west-1"
        return [*results, Result("region", text, is_problem=True)]
    results.append(Result("region", settings.region))
    try:
        session = session_of(settings)
        account = credentials(session)
        if account.is_problem:
            return [*results, account]
        found = describe(session, settings.stack)
        usable = replace(settings, values=rules.usable(template, settings.values))
        return [*results, account, quota(session, usable, found), state(settings, found)]
    except (BotoCoreError, ClientError) as error:
        return [*results, Result("AWS", f"{error}: allow the call, or correct the credentials", is_problem=True)]


def settings_file(settings: Settings, template: Template) -> list[Result]:
    """Check the lines of samconfig.toml."""
    name = "settings"
    found = settings.problems or rules.problems(template, settings.values, settings.region)
    if found:
        return [Result(name, problem, is_problem=True) for problem in found]
    return [Result(name, f"{len(settings.values)} of environment {settings.environment} in samconfig.toml")]


def docker() -> Result:
    """Check that the Docker engine responds."""
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except FileNotFoundError:
        text = (
            "is missing: install the engine (Debian, Ubuntu: apt-get install docker.io; https://docs.docker.com/engine)"
        )
        return Result("Docker", text, is_problem=True)
    except subprocess.TimeoutExpired:
        return Result("Docker", "does not answer within 30 s: start the engine again", is_problem=True)
    if asked.returncode:
        reason = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Result("Docker", f"start it, and allow this user to use it ({reason})", is_problem=True)
    return Result("Docker", asked.stdout.strip())


def python() -> Result:
    """Check that `sam build` will find the Python version of the functions."""
    folder = lambda_python.folder()
    if folder is None:
        text = "is missing, or has no pip: run pyenv install 3.13, or name it: make deploy LAMBDA_PYTHON=<path>"
        return Result(lambda_python.NAME, text, is_problem=True)
    return Result(lambda_python.NAME, str(folder))


def architecture(settings: Settings) -> Result:
    """Check that this machine has the processor for which it builds."""
    wanted, machine = settings.values.get("Architecture"), platform.machine().lower()
    if (own := _MACHINES.get(machine, machine)) != wanted:
        text = f"Architecture={wanted}, but this machine is {own}: set Architecture={own}, or build on another machine"
        return Result("processor", text, is_problem=True)
    return Result("processor", own)


def valid_template(settings: Settings) -> Result:
    """Check template.yaml with cfn-lint."""
    returncode, output = sam.validate(settings)
    if returncode:
        return Result("template", f"correct template.yaml: {' '.join(output.split())[:300]}", is_problem=True)
    return Result("template", "template.yaml is valid")


def session_of(settings: Settings) -> boto3.Session:
    """Return a session for the region of the settings. Raises DeployError."""
    try:
        return boto3.Session(profile_name=settings.profile, region_name=settings.region)
    except BotoCoreError as error:
        raise DeployError(f"{error}: correct the profile in samconfig.toml or AWS_PROFILE") from error


def own_region(settings: Settings) -> str | None:
    """Return the region that AWS_REGION, AWS_DEFAULT_REGION or the profile names."""
    return os.environ.get("AWS_REGION") or session_of(settings).region_name


def credentials(session: boto3.Session) -> Result:
    """Check that AWS knows this user."""
    name = "credentials"
    try:
        identity = session.client("sts", config=_CONFIG).get_caller_identity()
    except EndpointConnectionError as error:
        return Result(name, f"not checked: check the network and the region ({error})", is_problem=True)
    except (BotoCoreError, ClientError) as error:
        text = f"AWS does not accept them: run aws configure or aws sso login, or set AWS_PROFILE ({error})"
        return Result(name, " ".join(text.split()), is_problem=True)
    return Result(name, f"account {identity['Account']}, {identity['Arn']}")


def describe(session: boto3.Session, name: str) -> Stack:
    """Return what CloudFormation knows about a stack."""
    try:
        (found,) = session.client("cloudformation", config=_CONFIG).describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return Stack()
        raise
    return Stack(
        found["StackStatus"],
        f"{found.get('ChangeSetId')} {found.get('LastUpdatedTime', found['CreationTime'])}",
        {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])},
        {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])},
    )


def quota(session: boto3.Session, settings: Settings, stack: Stack) -> Result:
    """Check that the concurrent executions of the account suffice. New accounts have 10."""
    name = "concurrency"
    try:
        limits = session.client("lambda", config=_CONFIG).get_account_settings()["AccountLimit"]
    except ClientError as error:
        return Result(
            name, f"not checked, because lambda:GetAccountSettings failed ({error.response['Error']['Code']})"
        )
    allowed = int(limits["ConcurrentExecutions"])
    proposal = _proposal(allowed, settings.values)
    if proposal:
        changes = ", ".join(f"{setting}={value or repr('')}" for setting, value in proposal.items())
        text = (
            f"the account has {allowed} concurrent executions: set {changes} (make deploy writes them), or ask AWS for "
            "a higher quota of Lambda"
        )
        return Result(name, text, is_problem=True, proposal=proposal)
    own = int(stack.parameters.get("MaxConcurrentUploads", 0))
    free = int(limits["UnreservedConcurrentExecutions"]) + own - _MIN_UNRESERVED
    wanted, setting = _reserved(settings.values)
    if wanted > max(free, 0):
        text = (
            f"{setting}={wanted}, but the account has only {max(free, 0)} concurrent executions to give: lower it, or "
            "ask AWS for a higher quota of Lambda"
        )
        return Result(name, text, is_problem=True)
    return Result(name, f"the account has {allowed} concurrent executions")


def _reserved(values: Mapping[str, str]) -> tuple[int, str]:
    """Return the concurrency that the stack reserves, and the setting that causes this."""
    if limit := int(values["MaxConcurrentUploads"]):
        return limit, "MaxConcurrentUploads"
    if values["StartMode"] == "provisioned":
        return int(values["ProvisionedEnvironments"]), "ProvisionedEnvironments"
    return 0, ""


def _proposal(allowed: int, values: Mapping[str, str]) -> dict[str, str]:
    """Return other settings for a small quota, unless these leave two fifths of it to the API."""
    if allowed >= _MIN_UNRESERVED:
        return {}
    proposed = {"MaxConcurrentUploads": "0"}
    if values["StartMode"] == "provisioned":
        proposed |= {"StartMode": "on-demand", "ProvisionedFrom": "", "ProvisionedUntil": ""}
    behind = int(values["MaxConcurrentWorkers"]) + _SHARDS * int(values["MaxConcurrentFollowers"])
    if behind > allowed * 3 // 5 or int(values["MaxConcurrentWaits"]) > allowed // 5:
        proposed |= {setting: min(values[setting], most, key=float) for setting, most in SMALL_ACCOUNT.items()}
    return {setting: value for setting, value in proposed.items() if values[setting] != value}


def state(settings: Settings, stack: Stack) -> Result:
    """Check that CloudFormation will accept an update of the stack."""
    name, region = settings.stack, settings.region
    status = stack.status or ""
    match status:
        case "":
            return Result("stack", f"{name} is new")
        case "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED":
            remedy = f"its creation failed: run sam delete --stack-name {name} --region {region}, then deploy again"
        case "UPDATE_ROLLBACK_FAILED":
            remedy = f"run aws cloudformation continue-update-rollback --stack-name {name} --region {region}"
        case "UPDATE_FAILED":
            remedy = f"run aws cloudformation rollback-stack --stack-name {name} --region {region}"
        case _ if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            remedy = "wait until CloudFormation has finished, then deploy again"
        case _:
            return Result("stack", f"{name} is {status}")
    return Result("stack", f"{name} is {status}: {remedy}", is_problem=True)

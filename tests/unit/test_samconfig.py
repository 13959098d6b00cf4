"""samconfig.toml has all settings of each environment, and each command of SAM reads the values that a person reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from click.testing import CliRunner
from samcli.cli.main import cli
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

from tools import template
from tools.deploy import rules, settings_file
from tools.deploy.errors import DeployError

ENVIRONMENTS = ["default", "prod"]
SCHEDULE = "cron(0 7 ? * MON-FRI *)"
COMMENT = "  # a comment"


DEFAULTS = {name: str(described["Default"]) for name, described in template.raw()["Parameters"].items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file as samconfig.toml, with the defaults of the template. The lines of samconfig.toml itself may change."""
    quoted = {name: value if value and " " not in value else f"'{value}'" for name, value in DEFAULTS.items()}
    lines = [f'    "{name}={value}",{COMMENT if name == "ApiAuth" else ""}' for name, value in quoted.items()]
    text = "version = 0.1\n"
    for environment in ENVIRONMENTS:
        text += (
            f'\n[{environment}.global.parameters]\nstack_name = "{environment}"\nparameter_overrides = [\n    # All\n'
        )
        text += "\n".join(lines) + f"\n]\n\n[{environment}.deploy.parameters]\n"
        text += "resolve_s3 = true\nresolve_image_repos = true\n"
        text += 'capabilities = "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"\n'
    written = tmp_path / "samconfig.toml"
    written.write_text(text)
    return written


@pytest.fixture(autouse=True)
def own_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """SAM gives the default session of boto3 another region, also for the tests that follow."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def received(command: list[str], module: str) -> Mapping[str, Any]:
    """Return the parameters that a command of SAM would work with."""
    with patch(f"samcli.commands.{module}.do_cli") as work:
        result = CliRunner().invoke(cli, command, env={"SAM_CLI_TELEMETRY": "0"})
    assert result.exit_code == 0, result.output
    # One positional argument is the dictionary of parameters. Other dictionaries are empty.
    found: list[dict[str, Any]] = [each for each in work.call_args.args if isinstance(each, dict)]
    return max(found, key=len)


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_parameter_of_the_template_has_a_line_with_an_allowed_value(environment: str) -> None:
    settings = settings_file.read(environment)
    assert settings.problems == ()
    assert set(rules.problems(template.raw(), settings.values)) <= {rules.UNDECIDED_PROBLEM}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("command", ["build", "deploy"])
def test_sam_build_and_sam_deploy_read_the_same_list(environment: str, command: str) -> None:
    region = ["--region", "eu-west-1"]
    values = received([command, "--config-env", environment, *region], f"{command}.command")
    assert values == settings_file.read(environment).values


def test_make_local_gets_the_defaults_of_the_template_and_its_own_model() -> None:
    assert received(["local", "start-api", "--config-env", "local"], "local.start_api.cli") == {}
    own = {"Model": "a", "Precision": "int8", "Architecture": "arm64"}
    given = [f"{name}={value}" for name, value in own.items()]
    assert received(["build", "--parameter-overrides", *given], "build.command") == own


def test_the_list_reaches_the_build_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    changed = {"Model": "owner/name", "Precision": "int8", "Architecture": "arm64", "BaseImage": "a.b/python@sha256:ab"}
    values = {**settings_file.read("default").values, **changed}
    stacks, _ = SamLocalStackProvider.get_stacks("template.yaml", parameter_overrides=values)
    (function,) = (f for f in SamFunctionProvider(stacks).get_all() if f.name == "UploadImageFunction")
    assert function.metadata
    arguments = function.metadata["DockerBuildArgs"]
    assert [arguments[name] for name in ("MODEL", "PRECISION", "BASE_IMAGE")] == [
        "owner/name",
        "int8",
        "a.b/python@sha256:ab",
    ]
    assert function.architectures == ["arm64"]


def test_writing_a_value_changes_its_line_alone(path: Path) -> None:
    before = path.read_text().splitlines()
    settings_file.write("prod", {"ApiAuth": "JWT", "ProvisionedFrom": SCHEDULE, "Model": "a/b"}, "eu-west-1", path)
    after = path.read_text().splitlines()
    assert {line for line in after if line not in before} == {
        'region = "eu-west-1"',
        '    "Model=a/b",',
        '    "ApiAuth=JWT",  # a comment',
        f"    \"ProvisionedFrom='{SCHEDULE}'\",",
    }
    assert len(after) == len(before) + 1
    assert settings_file.read("default", path).values == DEFAULTS
    settings = settings_file.read("prod", path)
    assert (settings.region, settings.values["ProvisionedFrom"]) == ("eu-west-1", SCHEDULE)
    settings_file.write("prod", {"ProvisionedFrom": ""}, "eu-west-2", path)
    assert settings_file.read("prod", path).region == "eu-west-2"
    assert path.read_text().count("region = ") == 1
    assert list(path.parent.iterdir()) == [path]


def test_sam_reads_what_was_written(path: Path) -> None:
    values = {"ProvisionedFrom": SCHEDULE, "AllowedOrigins": "https://a.example,https://b.example", "AlarmTopicArn": ""}
    settings_file.write("default", values, path=path)
    read = received(["deploy", "--region", "eu-west-1", "--config-file", str(path)], "deploy.command")
    assert {name: read[name] for name in values} == values


def test_a_removed_line_is_refused_when_it_is_written(path: Path) -> None:
    replaced(path, '    "UseTracing=false",\n', "")
    before = path.read_text()
    with pytest.raises(DeployError, match="UseTracing needs a line of its own"):
        settings_file.write("default", {"UseTracing": "true"}, path=path)
    assert path.read_text() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_value_that_toml_or_sam_would_read_otherwise_is_not_written(path: Path) -> None:
    with pytest.raises(DeployError, match="JwtAudience cannot contain quotes"):
        settings_file.write("default", {"JwtAudience": "it's"}, path=path)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("\"ProvisionedFrom=''\"", '"ProvisionedFrom=cron(0 7 ? * MON-FRI *)"', "SAM would read 'ProvisionedFrom=cron"),
        ("\"AlarmTopicArn=''\"", '"AlarmTopicArn="', "SAM would read 'AlarmTopicArn=' otherwise"),
        ('"UseWaf=false",', '"UseWaf=false", "UseWaf=true",', "UseWaf has two lines"),
        ('"UseWaf=false"', '"UseWaf: false"', "'UseWaf: false' is not a setting"),
        (" CAPABILITY_AUTO_EXPAND", "", "needs capabilities"),
        (
            "resolve_s3 = true",
            'parameter_overrides = "UseWaf=true"',
            "[default.deploy.parameters] has parameter_overrides too",
        ),
    ],
)
def test_what_sam_would_read_otherwise_is_a_problem(path: Path, old: str, new: str, problem: str) -> None:
    replaced(path, old, new)
    (found,) = settings_file.read("default", path).problems
    assert problem in found


def test_an_unknown_environment_and_a_damaged_file_are_named(path: Path) -> None:
    with pytest.raises(DeployError, match=r"no \[test\.global\.parameters\].*\(default, prod\)"):
        settings_file.read("test", path)
    path.write_text("[default")
    with pytest.raises(DeployError, match="cannot be read"):
        settings_file.read("default", path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"UseTracing": None}, 'UseTracing has no line: add "UseTracing=false" to the list'),
        ({"AlarmTopicArn": None}, "AlarmTopicArn has no line: add \"AlarmTopicArn=''\" to the list"),
        ({"Colour": "red"}, "Colour is not a parameter of template.yaml"),
        ({"Precision": "fp16"}, "Precision=fp16 must be one of auto, fp32, int8-decoder, int8"),
        ({"MaxConcurrentWorkers": "1"}, "MaxConcurrentWorkers=1 must be at least 2"),
        ({"GatewayTimeoutSeconds": "301"}, "GatewayTimeoutSeconds=301 must be at most 300"),
        ({"RetentionDays": "many"}, "RetentionDays=many must be a whole number"),
        ({"AllowedOrigins": "https://" + "a" * 300}, "must have at most"),
        ({"AllowedOrigins": "https://app.example/"}, "without a slash at the end"),
        ({"AllowedOrigins": "https://app.example, https://b.example"}, "without spaces"),
        ({"UploadRateLimit": "0.05"}, "UploadRateLimit=0.05 must be at least 0.1"),
        ({"UploadRateLimit": "many"}, "UploadRateLimit=many must be a number"),
        ({"JwtIssuer": "https://a.example/.well-known/openid-configuration"}, "leave out /.well-known/"),
        ({"JwtAudience": "a,,b"}, "must be names separated by commas"),
        ({"JwtDiscoveryUrl": "http://issuer"}, "JwtDiscoveryUrl=http://issuer must be an https URL"),
        ({"JwtMaxKeyAgeHours": "0"}, "JwtMaxKeyAgeHours=0 must be at least 1"),
        ({"JwtIssuer": "http://issuer"}, "JwtIssuer=http://issuer must be an https URL"),
        ({"FormerKmsKeyArns": "arn:aws:kms:eu-west-1:1:key/a,b"}, "must be ARNs of KMS keys"),
        ({"ApiAuth": rules.UNDECIDED}, "run make deploy AUTH="),
        ({"ApiAuth": "JWT"}, "add ISSUER="),
        ({"MonthlyBudget": "5"}, "MonthlyBudget needs AlarmTopicArn"),
        ({"DomainName": "images.example.com"}, "DomainName needs CertificateArn"),
        ({"ProvisionedFrom": SCHEDULE, "ProvisionedUntil": SCHEDULE}, "ProvisionedFrom needs StartMode=provisioned"),
        (
            {"StartMode": "provisioned", "ProvisionedEnvironments": "3", "MaxConcurrentUploads": "2"},
            "ProvisionedEnvironments=3 is more than MaxConcurrentUploads=2",
        ),
        ({"KmsKeyArn": "arn:aws:kms:us-east-1:1:key/a"}, "KmsKeyArn is in us-east-1, but the stack in eu-west-1"),
    ],
)
def test_settings_that_cannot_be_deployed_are_refused(changes: dict[str, str | None], problem: str) -> None:
    values = {**DEFAULTS, **changes}
    (found,) = rules.problems(
        template.raw(), {name: value for name, value in values.items() if value is not None}, "eu-west-1"
    )
    assert problem in found


def test_plain_sam_deploy_cannot_publish_by_accident() -> None:
    described = template.raw()["Parameters"]["ApiAuth"]
    assert rules.UNDECIDED not in described["AllowedValues"]
    # The default is for make local, which has no list.
    assert described["Default"] == "NONE"
    assert template.raw()["Parameters"]["JwtIssuer"]["Default"] == rules.EXAMPLE_ISSUER

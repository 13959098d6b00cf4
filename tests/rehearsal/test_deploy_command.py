"""make deploy with the real SAM, which deploys to the emulator: by a person at a terminal, and without one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import requests

from tests.integration.deploying import Workspace
from tests.rehearsal.stack import LAYER_FILE, Stack, layer
from tools import emulator
from tools.template import ROOT

SAM = ROOT / ".venv" / "bin" / "sam"
STUB = Path(__file__).with_name("stub_of_sam_build.py")
# Where SAM stores templates. It creates this stack with a transform, which the emulator does not know.
MANAGED = "aws-sam-cli-managed-default"
MANAGED_TEMPLATE = {
    "Resources": {"SamCliSourceBucket": {"Type": "AWS::S3::Bucket"}},
    "Outputs": {"SourceBucket": {"Value": {"Ref": "SamCliSourceBucket"}}},
}
ACCESS_QUESTION = "API_KEY, JWT, AWS_IAM or NONE: "
CONFIRM = "Deploy this changeset? [y/N]: "


@pytest.fixture
def managed(aws: str) -> Iterator[None]:  # noqa: ARG001 - the emulator is needed first
    """The stack that SAM makes for itself."""
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(
        StackName=MANAGED,
        Tags=[{"Key": "ManagedStackSource", "Value": "AwsSamCli"}],
        TemplateBody=json.dumps(MANAGED_TEMPLATE),
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=MANAGED, WaiterConfig={"Delay": 1})
    bucket = cloudformation.describe_stack_resource(StackName=MANAGED, LogicalResourceId="SamCliSourceBucket")
    yield
    boto3.resource("s3").Bucket(bucket["StackResourceDetail"]["PhysicalResourceId"]).objects.all().delete()
    cloudformation.delete_stack(StackName=MANAGED)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=MANAGED, WaiterConfig={"Delay": 1})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A folder with the templates, and samconfig.toml as it is in the repository."""
    for name in ("samconfig.toml", "template.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "options", tmp_path / "options")
    programs = tmp_path / "bin"
    programs.mkdir()
    stub = programs / "sam"
    for program, content in ((stub, f"#!{sys.executable}\n{STUB.read_text()}"), (programs / "docker", "#!/bin/sh\n")):
        program.write_text(content)
        program.chmod(0o755)
    (tmp_path / "layer.zip").write_bytes(layer())
    own = {"REAL_SAM": str(SAM), LAYER_FILE: str(tmp_path / "layer.zip"), "SAM_CLI_POLL_DELAY": "0.5"}
    return Workspace(tmp_path, stub, own)


@pytest.mark.usefixtures("managed")
def test_plain_sam_deploy_publishes_nothing_while_access_is_undecided(workspace: Workspace, stack: Stack) -> None:
    for command in ("build", "deploy --no-confirm-changeset --region us-east-1"):
        done = subprocess.run(
            [workspace.stub, *command.split()],
            check=False,
            cwd=workspace.folder,
            env=os.environ | workspace.environment | {"PYTHONPATH": str(ROOT), "SAM_CLI_TELEMETRY": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert "ApiAuth" in done.stderr
    assert not stack.exists()


@pytest.mark.usefixtures("managed")
def test_a_stack_is_deployed_changed_and_refused(workspace: Workspace, stack: Stack) -> None:
    with workspace.person() as person:
        person.answer("Region: ", emulator.REGION)
        person.answer(ACCESS_QUESTION, "")
        person.answer(ACCESS_QUESTION, "NONE")
        person.wait_for("CloudFormation stack changeset")
        person.wait_for("UploadImageFunction")
        person.answer(CONFIRM, "y")
        ended = person.end()
    assert ended.status == 0, ended.output
    assert "Successfully created/updated stack - image-pipeline" in ended.output
    assert "check.png: a small red cross" in ended.output
    assert "coffee.jpg got its caption in" in ended.output
    assert requests.get(f"{stack.api_url}/api/images", timeout=10).json()["data"] == "No image has been processed yet."
    first = workspace.settings
    assert '"ApiAuth=NONE",' in first

    with workspace.person() as person:
        person.answer(CONFIRM, "")
        ended = person.end()
    assert ended.status == 1
    assert "nothing was deployed" in ended.output

    ended = workspace.alone("--auth", "API_KEY", "--yes")
    assert ended.status == 0, ended.output
    assert "coffee.jpg got its caption in" in ended.output
    assert requests.get(f"{stack.api_url}/api/images", timeout=10).status_code == 403
    assert workspace.settings == first.replace("ApiAuth=NONE", "ApiAuth=API_KEY", 1)

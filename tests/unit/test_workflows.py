"""The workflows of GitHub Actions run pinned actions, with as few permissions as possible."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse

WORKFLOWS = sorted(Path(".github/workflows").glob("*.yml"))


def read(path: Path) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml_parse(path.read_text())
    return document


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_action_is_pinned_by_its_digest(path: Path) -> None:
    used = re.findall(r"uses: (\S+)", path.read_text())
    assert used
    assert not [action for action in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_only_the_deployment_may_do_more_than_read_the_code(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    extra = {"id-token"} if path.stem == "deploy" else set()
    for job in workflow["jobs"].values():
        assert set(job.get("permissions", {})) - {"contents"} == extra


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_text_of_a_request_becomes_a_command(path: Path) -> None:
    for job in read(path)["jobs"].values():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert commands
        assert not [command for command in commands if "${{" in command]


@pytest.mark.parametrize(("job", "runner"), [("macos", "macos-latest"), ("wsl", "windows-latest")])
def test_users_of_other_systems_can_test_and_serve(job: str, runner: str) -> None:
    checks = read(Path(".github/workflows/checks.yml"))["jobs"][job]
    assert checks["runs-on"] == runner
    commands = "\n".join(step["run"] for step in checks["steps"] if "run" in step)
    assert {"test", "serve"} == set(re.findall(r"\bmake (\w+)", commands))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_shellcheck_finds_nothing_in_commands(path: Path) -> None:
    for job in read(path)["jobs"].values():
        script = "\n".join(step["run"] for step in job["steps"] if "run" in step)
        done = subprocess.run(
            [Path(sys.executable).with_name("shellcheck"), "--shell=bash", "-"],
            input=f"set -e\n{script}\n",
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_a_deployment_installs_only_packages_with_a_known_digest() -> None:
    (job,) = read(Path(".github/workflows/deploy.yml"))["jobs"].values()
    (installation,) = (step["run"] for step in job["steps"] if "pip" in step.get("run", ""))
    assert {"--require-hashes", "--no-deps"} <= set(installation.split())
    assert "aws-sam-cli==" in Path(installation.split()[-1]).read_text()


def test_a_deployment_does_not_make_attestations_that_lambda_refuses() -> None:
    (job,) = read(Path(".github/workflows/deploy.yml"))["jobs"].values()
    assert job["env"]["BUILDX_NO_DEFAULT_ATTESTATIONS"] == "1"
    assert "export BUILDX_NO_DEFAULT_ATTESTATIONS := 1" in Path("Makefile").read_text()

"""The workflows of GitHub Actions run pinned actions, with as few permissions as possible."""

import re
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
    (job,) = workflow["jobs"].values()
    extra = {"id-token"} if path.stem == "deploy" else set()
    assert set(job.get("permissions", {})) - {"contents"} == extra


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_text_of_a_request_becomes_a_command(path: Path) -> None:
    (job,) = read(path)["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands
    assert not [command for command in commands if "${{" in command]


def test_a_deployment_does_not_make_attestations_that_lambda_refuses() -> None:
    (job,) = read(Path(".github/workflows/deploy.yml"))["jobs"].values()
    assert job["env"]["BUILDX_NO_DEFAULT_ATTESTATIONS"] == "1"
    assert "export BUILDX_NO_DEFAULT_ATTESTATIONS := 1" in Path("Makefile").read_text()

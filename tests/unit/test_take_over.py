"""Checks the template with which CloudFormation imports an existing table and buckets."""

import json
from pathlib import Path

import pytest
from cfnlint.api import ManualArgs, lint

from tools import template
from tools.stack import take_over

RETAINED = ["ImagesTable", "ThumbnailsBucket", "UploadsBucket"]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    take_over.main(["images-restored", "old-thumbnails", "old-uploads"])
    return tmp_path / "build" / "take_over"


def test_the_template_is_valid_and_keeps_what_it_imports(written: Path) -> None:
    text = (written / "template.json").read_text()
    found = lint(text, config=ManualArgs(regions=["us-east-1"]))
    assert not [match for match in found if match.rule.severity == "error"]
    resources = json.loads(text)["Resources"]
    assert list(resources) == RETAINED
    # CloudFormation imports only resources with this policy.
    assert {resource["DeletionPolicy"] for resource in resources.values()} == {"Retain"}


def test_the_resources_are_those_that_outlive_the_stack(written: Path) -> None:
    names = {each["LogicalResourceId"]: each for each in json.loads((written / "names.json").read_text())}
    described = template.read()["Resources"]
    assert set(names) == {
        name for name, each in described.items() if each.get("DeletionPolicy") == "RetainExceptOnCreate"
    }
    assert names["ImagesTable"]["ResourceIdentifier"] == {"TableName": "images-restored"}
    assert names["UploadsBucket"]["ResourceIdentifier"] == {"BucketName": "old-uploads"}
    assert {name: each["ResourceType"] for name, each in names.items()} == {
        name: described[name]["Type"] for name in names
    }

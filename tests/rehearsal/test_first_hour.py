"""Runs the commands of docs/first-hour.md on the emulator, as somebody would paste them.

`make`, `aws`, `curl` and `git` are the real ones. `sam` is a stub, because images need Docker.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from tests.rehearsal.stack import ARTIFACTS, LAYER_FILE, layer
from tools import emulator
from tools.template import ROOT

PAGE = ROOT / "docs" / "first-hour.md"
AWS = ROOT / ".venv-aws" / "bin" / "aws"
STUB = Path(__file__).with_name("stub_of_sam.py")
ELSEWHERE = "# only on AWS"
_SECONDS = 240


def sections() -> dict[str, list[str]]:
    """Return the blocks of commands below each numbered heading, without those that need AWS itself."""
    found = {}
    for heading, content in re.findall(r"^## (\d+)\..*\n((?:(?!## ).*\n)*)", PAGE.read_text(), re.MULTILINE):
        blocks = re.findall(r"(?:^ {4}.*\n)+", content, re.MULTILINE)
        commands = [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in blocks]
        found[heading] = [block for block in commands if not block.startswith(ELSEWHERE)]
    return found


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a samconfig.toml of its own, and links to everything else in the repository."""
    folder = tmp_path_factory.mktemp("workspace")
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    link(ROOT, folder, but={".git", ".gitignore", ".venv", "samconfig.toml"})
    link(ROOT / ".venv", folder / ".venv", but={"bin"})
    link(ROOT / ".venv" / "bin", programs, but={"aws", "docker", "sam"})
    (programs / "aws").symlink_to(AWS)
    for name, content in (("sam", f"#!{sys.executable}\n{STUB.read_text()}"), ("docker", "#!/bin/sh\necho 29.0.1\n")):
        (programs / name).write_text(content)
        (programs / name).chmod(0o755)
    shutil.copy(ROOT / "samconfig.toml", folder)
    (folder / "layer.zip").write_bytes(layer())
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")
    for command in (["init", "--quiet"], ["add", "samconfig.toml"], ["commit", "--quiet", "--message=settings"]):
        subprocess.run([*git, *command], check=True, cwd=folder)
    return folder


def link(source: Path, target: Path, but: set[str]) -> None:
    for path in source.iterdir():
        if path.name not in but:
            (target / path.name).symlink_to(path)


@pytest.fixture(scope="module")
def printed(workspace: Path, aws: str) -> dict[str, str]:
    """What the commands of each section print, by its number. All run in one shell, and none may fail."""
    lines = [line for number, blocks in sections().items() for line in (f"echo '=== {number}'", *blocks)]
    log = workspace / "log.txt"
    with log.open("w") as output:
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", "\n".join(lines)],
            check=False,
            cwd=workspace,
            env=os.environ
            | emulator.environment(aws)
            | {"PYTHONPATH": str(ROOT), LAYER_FILE: str(workspace / "layer.zip")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
        )
    assert done.returncode == 0, log.read_text()
    return dict(re.findall(r"^=== (\d+)\n((?:(?!=== ).*\n)*)", log.read_text(), re.MULTILINE))


def test_each_command_does_what_the_page_says(printed: dict[str, str]) -> None:
    assert "arn:aws:iam::" in printed["2"]
    assert "PROBLEM" not in printed["2"]
    assert re.search(r"second caption +[\d.]+ s  check.png: a small red cross", printed["3"])
    assert "\nDone. The API: http" in printed["3"]
    assert '"image_status": "success"' in printed["4"]
    assert printed["4"].count('"original_name": "chelsea.png"') == 4  # upload, list, search, image
    assert "(128, 85)" in printed["4"]
    assert '"original_name": "rocket.jpg"' in printed["5"]
    assert '"caption": "' in printed["5"]
    assert re.search(r"Image deleted\.[^$]*\n404\nno files\n", printed["6"])
    assert len(re.findall(r"^image-pipeline-\S+\s+(?:OK|INSUFFICIENT_DATA)$", printed["7"], re.MULTILINE)) == 14
    assert '"success": ' in printed["8"]
    assert "Deleted successfully\n" in printed["9"]
    assert printed["9"].count("remove_bucket: ") == 2


@pytest.mark.usefixtures("printed")
def test_nothing_is_left(workspace: Path) -> None:
    assert (workspace / "samconfig.toml").read_text() == (ROOT / "samconfig.toml").read_text()
    names = [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    assert names == [ARTIFACTS]
    assert not boto3.client("dynamodb").list_tables()["TableNames"]
    assert not boto3.client("sns").list_topics()["Topics"]

"""Runs the commands that docs/testing.md gives for single functions."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tools.containers import sam

pytestmark = pytest.mark.usefixtures("api_url")

COMMANDS = re.findall(r"^ {4}(sam local invoke .*?)(?: +#.*)?$", Path("docs/testing.md").read_text(), re.MULTILINE)


def test_there_are_commands() -> None:
    assert COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_invokes_its_function(command: str) -> None:
    done = subprocess.run(
        shlex.split(command), check=False, capture_output=True, text=True, timeout=120, env=sam.environment()
    )
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout)
    assert response["statusCode"] == (404 if "not_found" in command else 200)
    assert json.loads(response["body"])


def test_sam_local_alone_says_what_to_do() -> None:
    command = ["sam", "local", "invoke", "--skip-pull-image", "GetStatsFunction", "-e", "events/get_stats.json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=sam.environment())
    assert json.loads(done.stdout)["statusCode"] == 500
    assert "`make local` starts them" in done.stderr

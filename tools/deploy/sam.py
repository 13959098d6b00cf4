"""Runs SAM with the settings of an environment, the Python version of the functions and the user's own account."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools import lambda_python
from tools.deploy.errors import DeployError
from tools.deploy.settings_file import Settings
from tools.stopping import Stopped

# The `sam` of requirements-dev.txt, next to this Python, or else the `sam` on PATH.
_SAM_NEXT_TO_PYTHON = Path(sys.executable).with_name("sam")
SAM = str(_SAM_NEXT_TO_PYTHON) if _SAM_NEXT_TO_PYTHON.exists() else shutil.which("sam") or "sam"


def validate(settings: Settings) -> tuple[int, str]:
    """Check template.yaml. Return the exit status and what SAM says."""
    # cfn-lint needs a region.
    region = settings.region or "us-east-1"
    done = subprocess.run(
        [SAM, "validate", "--lint", "--config-env", settings.environment, "--region", region],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=_environment(settings),
    )
    return done.returncode, done.stderr.strip() or done.stdout.strip()


def build(settings: Settings) -> None:
    """Build the functions, the layer and the image. Raises DeployError."""
    if _run(settings, "build"):
        raise DeployError("sam build failed: correct what it says above, then deploy again. Nothing was deployed")


def deploy(settings: Settings, *, confirm: bool) -> None:
    """Show the change set and carry it out. Raises DeployError."""
    answer = "--confirm-changeset" if confirm else "--no-confirm-changeset"
    if _run(settings, "deploy", answer, "--no-fail-on-empty-changeset"):
        raise DeployError("sam deploy failed: correct what it says above. make doctor says what state the stack is in")


def _run(settings: Settings, command: str, *arguments: str) -> int:
    """Run SAM in the foreground and return its exit status."""
    line = [SAM, command, "--config-env", settings.environment, "--region", str(settings.region), *arguments]
    print(f"\n$ sam {' '.join(line[1:])}", flush=True)
    with subprocess.Popen(line, env=_environment(settings)) as process:
        try:
            return process.wait()
        except Stopped:
            # Ctrl-C has reached SAM too. It removes its containers before it ends.
            process.wait()
            if command == "deploy":
                print("\nIf CloudFormation has begun, it goes on by itself: make doctor shows the state of the stack.")
            raise


def _environment(settings: Settings) -> dict[str, str]:
    folders = [str(each) for each in (lambda_python.folder(), os.environ.get("PATH")) if each]
    region = {"AWS_REGION": settings.region, "AWS_DEFAULT_REGION": settings.region} if settings.region else {}
    # Lambda refuses an image with attestations, because its manifest is then a list.
    options = {"SAM_CLI_TELEMETRY": "0", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "PATH": ":".join(folders)}
    return os.environ | region | options

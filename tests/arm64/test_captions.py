"""The functions on arm64, which this machine emulates: all handlers can be imported, and captions are the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.in_process import variables
from tools.local.server import DEMO_MODEL

ROOT = Path(__file__).parent.parent.parent
ARM64 = ROOT / "build" / "arm64"
# The processor of Graviton2, the oldest that Lambda uses for arm64.
EMULATED = [
    *("qemu-aarch64-static", "-cpu", "neoverse-n1", "-L", str(ARM64 / "root")),
    str(ARM64 / "root" / "usr" / "bin" / "python3.13"),
]
INT8 = ROOT / "build" / "models" / "tests--model--demo_blip-int8"

__all__ = ["variables"]


def captions(python: list[str], packages: list[Path], variables: dict[str, str]) -> dict[str, list[Any]]:
    path = os.pathsep.join(
        str(folder) for folder in [*packages, ROOT, ROOT / "layers/pipeline", ROOT / "layers/processing"]
    )
    done = subprocess.run(
        [*python, "-m", "tests.arm64.caption"],
        env=os.environ | variables | {"PYTHONPATH": path, "AWS_DEFAULT_REGION": "us-east-1"},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    written: dict[str, list[Any]] = json.loads(done.stdout)
    return written


@pytest.mark.parametrize("model", [DEMO_MODEL, INT8], ids=["fp32", "int8"])
def test_captions_on_arm64_are_those_of_x86(model: Path, variables: dict[str, str]) -> None:
    settings = variables | {"MODEL_PATH": str(model)}
    there = captions(EMULATED, [ARM64 / "packages"], settings)
    here = captions([sys.executable], [], settings)
    assert len(here) >= 38
    assert {name: text for name, (text, _) in there.items()} == {name: text for name, (text, _) in here.items()}
    # arm64 adds floats in another order, so in int8 a rounding sometimes differs.
    assert [confidence for _, confidence in there.values()] == pytest.approx([p for _, p in here.values()], abs=0.01)

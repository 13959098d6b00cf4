"""The commands of the Makefile: what `make` prints, and what macOS and its make 3.81 need."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import grimp
import pytest

MAKEFILE = Path("Makefile").read_text()
MENU = ["serve", "demo", "test", "lint", "model", "deploy", "doctor", "help-all"]
GROUPS = ["Run", "Test", "Model", "Deploy and maintain", "Measure", "Documents"]
# Assignments, rules, variables and functions that make 3.81 does not know.
NEWER_THAN_MAKE_3_81 = re.compile(
    r"^[\w-]+ *(?:!=|::=)|&:|^\.ONESHELL|^\.SHELLFLAGS|\$\((?:file|let|intcmp) ", re.MULTILINE
)
# Programs and options that macOS does not have, and what bash 3.2 does not know.
NOT_ON_MACOS = re.compile(
    r"\b(?:sed -i|readlink -f|realpath|nproc|timeout \d|date -d|stat -c|grep -\w*P|declare -A|mapfile|readarray)\b"
    r"|\{\w+(?:,,|\^\^|@)"
)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # `make test` sets these variables. A make that finds them also prints in which folder it is.
    environment = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }
    return subprocess.run(["make", *arguments], check=False, capture_output=True, text=True, env=environment)


def printed(target: str) -> str:
    return make("--silent", target).stdout


def test_make_shows_eight_commands() -> None:
    assert re.findall(r"^make (\S+) +\S", printed("help"), re.MULTILINE) == MENU
    assert ".DEFAULT_GOAL := help\n" in MAKEFILE


def test_help_all_shows_every_command_by_group() -> None:
    text = printed("help-all")
    assert re.findall(r"^\S.*", text, re.MULTILINE) == GROUPS
    shown = re.findall(r"^  make (\S+) +\S", text, re.MULTILINE)
    declared = re.findall(r"^\.PHONY: (\S+)", MAKEFILE, re.MULTILINE)
    assert sorted([*shown, "help", "needs-linux"]) == sorted(declared)
    assert set(MENU) < set(shown)


@pytest.mark.parametrize("problem", [NEWER_THAN_MAKE_3_81, NOT_ON_MACOS], ids=["make 3.81", "macOS"])
def test_every_recipe_works_on_macos(problem: re.Pattern[str]) -> None:
    assert not problem.findall(MAKEFILE)


def test_what_needs_linux_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "uname").write_text("#!/bin/sh\necho Darwin\n")
    (tmp_path / "uname").chmod(0o755)
    for target in ("bench", "e2e", "test-arm64", "test-hostile"):
        done = make(target, f"PATH={tmp_path}:/usr/bin:/bin")
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith(f"error: make {target} needs Linux (on Windows: WSL)\nmake: ***")


def test_what_make_serve_and_make_test_import_works_on_macos() -> None:
    """`make lint` checks the types of these modules for macOS: functions that only Linux has are errors."""
    (line,) = re.findall(r"^ON_MACOS := (.+)$", MAKEFILE, re.MULTILINE)
    tests = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    assert {"tools.local", *(path.replace("/", ".") for path in tests)} <= set(line.split())

    graph = grimp.build_graph(
        "clients", "functions", "image_pipeline", "image_processing", "tests", "tools", cache_dir=None
    )
    roots = {module for module in graph.modules if f"{module}.".startswith(tuple(f"{name}." for name in line.split()))}
    imported = roots.union(*(graph.find_upstream_modules(root) for root in roots))
    layers = {"image_pipeline": "layers/pipeline/", "image_processing": "layers/processing/"}
    files = [Path(layers.get(name.split(".")[0], "") + name.replace(".", "/") + ".py") for name in sorted(imported)]
    code = {file: file.read_text() for file in files if file.exists()}
    assert len(code) > 150
    only_linux = re.compile(r"""["'](?:/proc|/sys|/dev/shm)\b""")
    assert not [file for file, text in code.items() if only_linux.search(text)]


def test_shellcheck_reads_every_script() -> None:
    (checked,) = re.findall(r"\$\(BIN\)/shellcheck (.+)", MAKEFILE)
    folders = [Path(name) for name in (".ci", "clients", "functions", "layers", "options", "tests", "tools")]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    scripts = [str(file) for file in files if re.match(rb"#!.*\b(?:ba)?sh\b", file.read_bytes()[:40])]
    assert sorted(scripts) == sorted(checked.split())

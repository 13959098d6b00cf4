"""The documentation names only files and commands that exist, and its lines are short enough to read in an editor."""

import re
from pathlib import Path

import pytest

FOLDERS = [Path(name) for name in ("clients", "docs", "events", "functions", "layers", "options", "tests", "tools")]
FILES = [*Path().glob("*.*"), *(file for folder in FOLDERS for file in folder.rglob("*.*"))]
PAGES = [file for file in FILES if file.suffix == ".md"]
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w./-]+\.(?:py|md|json|yaml|toml|in|txt|icc|onnx)")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
COMMAND = re.compile(r"\bmake ([a-z][a-z0-9-]+)")
# These are written by the commands, or are part of a model folder.
NOT_IN_GIT = {"encoder.onnx", "decoder.onnx", "tokenizer.json", "model.json", "vocab.txt", "processor_config.json"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_lines_outside_tables_have_at_most_120_characters(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert not [line for line in lines if len(line) > 120 and not line.lstrip().startswith("|")]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_to_files(page: Path) -> None:
    assert not [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_file_names_exist(page: Path) -> None:
    """A name may leave out the folders that its section is about: `files/exif.py`."""
    names = [name for name in QUOTED.findall(page.read_text()) if PATH.fullmatch(name)]
    known = [f"/{file}" for file in FILES] + [f"/{name}" for name in NOT_IN_GIT]
    assert not [name for name in names if not any(file.endswith(f"/{name}") for file in known)]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_make_commands_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", Path("Makefile").read_text(), re.MULTILINE))
    code = [*QUOTED.findall(page.read_text()), *re.findall(r"^ {4}(.*)$", page.read_text(), re.MULTILINE)]
    assert not {target for line in code for target in COMMAND.findall(line)} - targets

"""The pages say for whom they are, name only files and commands that exist, and are short enough to read."""

import json
import re
import tomllib
from pathlib import Path

import pytest

FOLDERS = [Path(name) for name in ("clients", "docs", "events", "functions", "layers", "options", "tests", "tools")]
FILES = [*Path().glob("*.*"), *(file for folder in FOLDERS for file in folder.rglob("*.*"))]
PAGES = [file for file in FILES if file.suffix == ".md"]
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w./-]+\.(?:py|md|json|yaml|toml|in|txt|icc|onnx)")
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
COMMAND = re.compile(r"\bmake ([a-z][a-z0-9-]+)")
# These are written by the commands, or are part of a model folder.
NOT_IN_GIT = {"encoder.onnx", "decoder.onnx", "tokenizer.json", "model.json", "vocab.txt", "processor_config.json"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_lines_outside_tables_have_at_most_120_characters(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert not [line for line in lines if len(line) > 120 and not line.lstrip().startswith("|")]


def test_the_readme_has_one_and_a_half_screens() -> None:
    assert len(Path("README.md").read_text().splitlines()) <= 140


@pytest.mark.parametrize("page", [*Path().glob("*.md"), *Path("docs").glob("*.md")], ids=str)
def test_the_first_line_says_for_whom_the_page_is(page: Path) -> None:
    title, empty, first = page.read_text().splitlines()[:3]
    assert (title[:2], empty, first[:4]) == ("# ", "", "For ")


@pytest.mark.parametrize("page", [*Path("docs").glob("*.md")], ids=str)
def test_the_readme_leads_to_each_page(page: Path) -> None:
    assert f"({page})" in Path("README.md").read_text()


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for file, anchor in LINK.findall(page.read_text()):
        target = page.parent / file if file else page
        assert target.exists()
        assert not anchor or anchor in anchors(target)


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


def test_the_changelog_and_the_api_have_one_version() -> None:
    """pyproject.toml has the version. `make openapi` reads the one that is installed."""
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    assert json.loads(Path("functions/show_page/openapi.json").read_text())["info"]["version"] == version
    unreleased, *releases = re.findall(r"^## (.*)", Path("CHANGELOG.md").read_text(), re.MULTILINE)
    assert unreleased == "Unreleased"
    assert not releases or re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", releases[0])

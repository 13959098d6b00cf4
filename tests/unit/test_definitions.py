"""Each route, parameter, metric, alarm and command is defined once in the documentation, and no other is described."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import template

PAGES = [Path("README.md"), Path("SECURITY.md"), Path("CONTRIBUTING.md"), *sorted(Path("docs").glob("*.md"))]
METHODS = "GET|POST|PUT|PATCH|DELETE"


def definitions() -> Iterator[tuple[str, str]]:
    """Yield the names in headings and in the first cells of tables, each with the title of its column.

    The title of a heading is empty. A heading or a cell may define several names: `A`, `B`. A mix of names and words,
    as "date, `A`", defines nothing.
    """
    for page in PAGES:
        lines = page.read_text().splitlines()
        title = ""
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            cell = line.strip("|#").partition(" | ")[0].strip()
            if following.startswith("|---"):
                title = cell
            elif line.startswith(("| ", "##")):
                names = cell.split(", ")
                if len({name.startswith("`") for name in names}) == 1:
                    yield from ((title if line.startswith("|") else "", name.strip("`")) for name in names)


def routes() -> set[str]:
    """Return the routes, without HEAD and OPTIONS, which api.md describes for all paths at once."""
    events = [
        event["Properties"]
        for function in template.functions(template.read()).values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "Api"
    ]
    return {f"{event['Method']} {event['Path']}" for event in events} - {
        f"{method} {event['Path']}" for event in events for method in ("HEAD", "OPTIONS")
    }


def alarms() -> set[str]:
    files = [template.PATH, *Path("options").glob("*.yaml")]
    resources = [item for file in files for item in template.raw(file)["Resources"].items()]
    return {name for name, described in resources if described["Type"] == "AWS::CloudWatch::Alarm"}


def metrics() -> set[str]:
    return set(re.findall(r"(\w+)=\(MetricUnit\.", Path("layers/pipeline/image_pipeline/observability.py").read_text()))


def commands() -> set[str]:
    return {f"make {name}" for name in re.findall(r"^([a-z0-9-]+):.*## ", Path("Makefile").read_text(), re.MULTILINE)}


# The known names, by the title of the first column of their tables.
EXISTING = {
    "": routes(),
    "parameter": set(template.raw()["Parameters"]),
    "metric": metrics(),
    "alarm": alarms(),
    "command": commands(),
}
KINDS = pytest.mark.parametrize("title", EXISTING, ids=lambda title: title or "route")


@KINDS
def test_each_has_one_heading_or_row(title: str) -> None:
    names = [name for _, name in definitions()]
    assert EXISTING[title]
    assert {name: names.count(name) for name in EXISTING[title] if names.count(name) != 1} == {}


@KINDS
def test_no_other_has_a_heading_or_row(title: str) -> None:
    named = {name for column, name in definitions() if column == title}
    described = named if title else {name for name in named if re.match(rf"(?:{METHODS}) /", name)}
    assert described - EXISTING[title] == set()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_routes_alarms_and_settings_in_the_text_exist(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(rf"`((?:{METHODS}) /[^`?\s]*)", text)) - EXISTING[""] == set()
    assert set(re.findall(r"\b[A-Z]\w+Alarm\b", text)) - EXISTING["alarm"] == set()
    assert set(re.findall(r"`([A-Z][a-z]\w+)=", text)) - EXISTING["parameter"] == set()

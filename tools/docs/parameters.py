"""Describe all parameters of template.yaml, by group, in docs/parameters.md: `python -m tools.docs.parameters`."""

from typing import Any

from tools import template

PAGE = template.ROOT / "docs" / "parameters.md"
_HEAD = """\
# Parameters

For people who deploy a stack: all its settings. `make parameters` writes this page from `template.yaml`, so edit the
descriptions there.

`samconfig.toml` contains the value of every parameter, once for each environment. To change one, edit its line, then
run `make deploy`: see [Change a setting](operations.md#change-a-setting). The file begins with the defaults of this
page, except `ApiAuth`, which `make deploy` asks for. In the environment `prod`, logs are kept for 90 days, and
`ProtectTable` is `true`.

These are changed most often: `ApiAuth`, `AllowedOrigins`, `Model`, `UploadMemorySize`, `StartMode`, `RetentionDays`,
`AlarmTopicArn` and `MonthlyBudget`. [costs.md](costs.md) has what they cost.
"""


def text() -> str:
    """Return the page as Markdown, with one table per group of parameters."""
    read = template.raw()
    groups = read["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    return "\n".join([_HEAD, *(_section(group, read["Parameters"]) for group in groups)])


def _section(group: dict[str, Any], parameters: dict[str, dict[str, Any]]) -> str:
    head = ["| parameter | default | allowed | meaning |", "|---|---|---|---|"]
    rows = (_row(name, parameters[name]) for name in group["Parameters"])
    return "\n".join([f"## {group['Label']['default']}", "", *head, *rows, ""])


def _row(name: str, parameter: dict[str, Any]) -> str:
    return f"| `{name}` | {_default(parameter)} | {_allowed(parameter)} | {parameter['Description']} |"


def _default(parameter: dict[str, Any]) -> str:
    return "empty" if parameter["Default"] == "" else f"`{parameter['Default']}`"


def _allowed(parameter: dict[str, Any]) -> str:
    """Return the values that the template accepts, or nothing if it accepts every text."""
    match parameter:
        case {"AllowedValues": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"MinValue": least, "MaxValue": most}:
            return f"{least} to {most}"
        case {"MinValue": least}:
            return f"at least {least}"
        case {"ConstraintDescription": constraint}:
            return str(constraint).removeprefix("must be ")
    return ""


if __name__ == "__main__":
    PAGE.write_text(text())
    print(PAGE)

"""Reads and edits the settings of one environment in samconfig.toml."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from samcli.cli.types import CfnParameterOverridesType

from tools.deploy.errors import DeployError

PATH = Path("samconfig.toml")
_NAME = re.compile(r"([A-Za-z0-9]+)=")
# A list of parameters in one of these sections would replace the list of `global`.
_COMMANDS = ("build", "deploy", "validate")


@dataclass(frozen=True)
class Settings:
    """The settings of an environment. `values` has the value of each parameter, as SAM reads its line.

    `problems` names the lines that SAM reads differently from how they look.
    """

    environment: str
    stack: str
    region: str | None
    profile: str | None
    values: Mapping[str, str]
    problems: tuple[str, ...] = ()


def read(environment: str, path: Path = PATH) -> Settings:
    """Read the settings of an environment. Raises DeployError if the file has none."""
    document = _parsed(path)
    common = _section(document, environment, "global")
    lines = common.get("parameter_overrides")
    if not isinstance(lines, list) or not isinstance(common.get("stack_name"), str):
        known = ", ".join(name for name in document if _section(document, name, "global"))
        raise DeployError(
            f"{path} has no [{environment}.global.parameters] with stack_name and the list parameter_overrides: "
            f"name another ENVIRONMENT ({known}), or copy that section and change it"
        )
    values: dict[str, str] = {}
    problems = []
    for line in lines:
        name, value, problem = _setting(line)
        if problem is None and name in values:
            problem = f"{name} has two lines: remove one"
        if problem:
            problems.append(problem)
        values.setdefault(name, value)
    problems += [
        f"[{environment}.{command}.parameters] has parameter_overrides too, which hides the list: remove it"
        for command in _COMMANDS
        if "parameter_overrides" in _section(document, environment, command)
    ]
    capabilities = str(_section(document, environment, "deploy").get("capabilities"))
    if not {"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"} <= set(re.findall(r"\w+", capabilities)):
        problems.append(
            f'[{environment}.deploy.parameters] needs capabilities = "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"'
        )
    return Settings(
        environment, common["stack_name"], common.get("region"), common.get("profile"), values, tuple(problems)
    )


def write(environment: str, values: Mapping[str, str], region: str | None = None, path: Path = PATH) -> None:
    """Change lines of an environment in place. All other lines stay as they are, and the file is never half-written.

    Raises DeployError if a value cannot be written, or if a setting has no line.
    """
    before = read(environment, path)
    document: dict[str, Any] = tomlkit.parse(path.read_text())
    common = document[environment]["global"]["parameters"]
    lines = common["parameter_overrides"]
    for number, line in enumerate(lines):
        if (name := str(line).partition("=")[0]) in values:
            lines[number] = _text(name, values[name])
    if region:
        common["region"] = region
    content = tomlkit.dumps(document)
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.write_text(content)
        temporary.chmod(path.stat().st_mode)
        after = read(environment, temporary)
        wanted = {**before.values, **values}
        if wrong := [name for name in wanted if after.values.get(name) != wanted[name]]:
            raise DeployError(f'{path}: {wrong[0]} needs a line of its own, such as "{wrong[0]}=...", in its list')
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _text(name: str, value: str) -> str:
    """Return a value as an element of the list: SAM divides a text at its spaces, unless they are in single quotes."""
    if re.search(r"""["'\\\n]""", value):
        raise DeployError(f"{name} cannot contain quotes or backslashes: {value}")
    return f"{name}='{value}'" if not value or " " in value else f"{name}={value}"


def _setting(line: object) -> tuple[str, str, str | None]:
    """Return the name and the value of an element of the list, and what is wrong with it."""
    found = _NAME.match(line) if isinstance(line, str) else None
    if not isinstance(line, str) or not found:
        return str(line), "", f'{line!r} is not a setting: write "Name=value"'
    name, written = found[1], line[found.end() :]
    value = written[1:-1] if len(written) > 1 and written[0] == written[-1] == "'" else written
    try:
        understood = CfnParameterOverridesType().convert([line], None, None)
    except Exception:  # noqa: BLE001 - click's errors, and those of SAM
        understood = {}
    if understood != {name: value}:
        return name, value, f"SAM would read {line!r} otherwise: write \"{name}='...'\", with single quotes"
    return name, value, None


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise DeployError(f"{path} cannot be read ({error}): correct it, or take it from git again") from error


def _section(document: dict[str, Any], environment: str, command: str) -> dict[str, Any]:
    section = document.get(environment)
    section = section.get(command) if isinstance(section, dict) else None
    parameters = section.get("parameters") if isinstance(section, dict) else None
    return parameters if isinstance(parameters, dict) else {}

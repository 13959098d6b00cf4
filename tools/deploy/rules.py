"""What the settings must fulfil: parameters and rules of template.yaml, and what CloudFormation cannot check."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tools.template import Template, holds

# The value in samconfig.toml until somebody decides who may use the API. CloudFormation refuses it, because it is not
# an allowed value; `sam build` and `sam local` take it like NONE.
UNDECIDED = "undecided"
UNDECIDED_PROBLEM = (
    "ApiAuth is undecided: run make deploy AUTH=... with API_KEY, JWT, AWS_IAM or NONE (NONE: anybody may upload and "
    "delete)"
)
# JwtIssuer of template.yaml until somebody names a real one.
EXAMPLE_ISSUER = "https://issuer.example"
_LIST_TYPE = "CommaDelimitedList"


def problems(template: Template, values: Mapping[str, str], region: str | None = None) -> list[str]:
    """Return what is wrong with the settings of an environment, one line each that says what to do."""
    parameters = template["Parameters"]
    found = [
        f'{name} has no line: add "{name}={_shown(described)}" to the list (without a line, a deployed stack keeps its '
        "last value)"
        for name, described in parameters.items()
        if name not in values
    ]
    found += [
        f"{name} is not a parameter of template.yaml: remove its line" for name in values if name not in parameters
    ]
    known = {name: value for name, value in values.items() if name in parameters}
    for name, value in known.items():
        if name == "ApiAuth" and value == UNDECIDED:
            found.append(UNDECIDED_PROBLEM)
        elif violation := _violation(parameters[name], value):
            found.append(f"{name}={value} {violation}")
    if (values.get("ApiAuth"), values.get("JwtIssuer")) == ("JWT", EXAMPLE_ISSUER):
        found.append("ApiAuth=JWT needs the issuer of the tokens: add ISSUER=https://..., or change the line JwtIssuer")
    if found:
        return found
    return [*_broken_rules(template, known), *_contradictions(known), *_other_regions(known, region)]


def _shown(described: dict[str, Any]) -> str:
    default = str(described["Default"])
    return default if default and " " not in default else f"'{default}'"


def usable(template: Template, values: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each parameter, or its default if the value is missing or not allowed."""
    return {
        name: values[name] if name in values and not _violation(described, values[name]) else str(described["Default"])
        for name, described in template["Parameters"].items()
    }


def _violation(described: dict[str, Any], value: str) -> str | None:
    """Return how a value breaks the description of its parameter, or None."""
    return next(_violations(described, value), None)


def _violations(described: dict[str, Any], value: str) -> Iterator[str]:
    allowed = [str(each) for each in described.get("AllowedValues", [value])]
    if value not in allowed:
        yield f"must be one of {', '.join(allowed)}"
    if described["Type"] == "Number":
        may_have_fraction = isinstance(described.get("MinValue"), float)
        if not re.fullmatch(r"-?\d+(\.\d+)?" if may_have_fraction else r"-?\d+", value):
            yield "must be a number" if may_have_fraction else "must be a whole number"
        elif float(value) < described.get("MinValue", float(value)):
            yield f"must be at least {described['MinValue']}"
        elif float(value) > described.get("MaxValue", float(value)):
            yield f"must be at most {described['MaxValue']}"
    if len(value) > int(described.get("MaxLength", len(value))):
        yield f"must have at most {described['MaxLength']} characters"
    if len(value) < int(described.get("MinLength", 0)):
        yield f"must have at least {described['MinLength']} characters"
    elements = value.split(",") if described["Type"] == _LIST_TYPE else [value]
    pattern = described.get("AllowedPattern")
    if pattern and not all(re.fullmatch(pattern, element) for element in elements):
        yield str(described.get("ConstraintDescription", f"must match {pattern}"))


def _broken_rules(template: Template, values: Mapping[str, str]) -> Iterator[str]:
    for rule in template.get("Rules", {}).values():
        if "RuleCondition" in rule and not holds(rule["RuleCondition"], values):
            continue
        for assertion in rule["Assertions"]:
            if not holds(assertion["Assert"], values):
                yield assertion["AssertDescription"]


def _contradictions(values: Mapping[str, str]) -> Iterator[str]:
    limit, environments = int(values["MaxConcurrentUploads"]), int(values["ProvisionedEnvironments"])
    if values["StartMode"] == "provisioned" and 0 < limit < environments:
        yield (
            f"ProvisionedEnvironments={environments} is more than MaxConcurrentUploads={limit}: raise "
            "MaxConcurrentUploads, or set it to 0"
        )


def _other_regions(values: Mapping[str, str], region: str | None) -> Iterator[str]:
    for name, value in values.items():
        for arn in value.split(","):
            parts = arn.split(":")
            if region and parts[0] == "arn" and len(parts) > 3 and parts[3] not in {"", region}:
                yield f"{name} is in {parts[3]}, but the stack in {region}: name one in {region}"

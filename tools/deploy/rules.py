"""What the settings must fulfil: parameters and rules of template.yaml, and what CloudFormation cannot check."""

from collections.abc import Iterator, Mapping
from typing import Any

from tools.template import Template, holds, violation

# The value in samconfig.toml until somebody decides who may use the API. CloudFormation refuses it, because it is not
# an allowed value; `sam build` and `sam local` take it like NONE.
UNDECIDED = "undecided"
UNDECIDED_PROBLEM = (
    "ApiAuth is undecided: run make deploy AUTH=... with API_KEY, JWT, AWS_IAM or NONE (NONE: anybody may upload and "
    "delete)"
)
# JwtIssuer of template.yaml until somebody names a real one.
EXAMPLE_ISSUER = "https://issuer.example"


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
        elif broken := violation(parameters[name], value):
            found.append(f"{name}={value} {broken}")
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
        name: values[name] if name in values and not violation(described, values[name]) else str(described["Default"])
        for name, described in template["Parameters"].items()
    }


def _broken_rules(template: Template, values: Mapping[str, str]) -> Iterator[str]:
    for rule in template.get("Rules", {}).values():
        if "RuleCondition" in rule and not holds(rule["RuleCondition"], values):
            continue
        for assertion in rule["Assertions"]:
            if not holds(assertion["Assert"], values):
                yield assertion["AssertDescription"]


def _contradictions(values: Mapping[str, str]) -> Iterator[str]:
    if "/.well-known/" in values["JwtIssuer"]:
        yield "JwtIssuer is the issuer as tokens name it, not the address of a document: leave out /.well-known/..."
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

"""Reads template.yaml and the templates in options/ for the local API, the tools and the tests."""

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).parent.parent
PATH = ROOT / "template.yaml"
Template = dict[str, Any]
_LIST_TYPE = "CommaDelimitedList"
_NO_VALUE = {"Ref": "AWS::NoValue"}


def raw(path: Path = PATH) -> Template:
    """Return a whole template with its intrinsic functions in long form, `{"Ref": ...}`."""
    return deepcopy(_parsed(path))


@cache
def _parsed(path: Path) -> Template:
    # Parsing takes half a second, and a test may read the template many times.
    template: Template = yaml_parse(path.read_text())
    return template


def read(parameters: Mapping[str, object] | None = None) -> Template:
    """Return the template as it is deployed with these parameters, and with the defaults of all others.

    It has only the resources and properties whose conditions hold. The given values are the new defaults.
    """
    return _read(PATH, parameters or {})


def read_option(name: str, parameters: Mapping[str, object] | None = None) -> Template:
    """Return a template of options/, such as `monitoring`, as it is deployed if template.yaml has these parameters.

    References to resources of template.yaml stay as they are, as the values of its parameters.
    """
    core = _read(PATH, parameters or {})
    (nested,) = (
        resource["Properties"]["Parameters"]
        for resource in raw()["Resources"].values()
        if resource["Properties"].get("TemplateURL") == f"options/{name}.yaml"
    )
    given = {
        parameter: core["Parameters"][value["Ref"]]["Default"] if value.get("Ref") in core["Parameters"] else value
        for parameter, value in nested.items()
    }
    return _read(ROOT / "options" / f"{name}.yaml", given)


def _read(path: Path, parameters: Mapping[str, object]) -> Template:
    template = raw(path)
    for name, value in parameters.items():
        template["Parameters"][name]["Default"] = value
    described = template.pop("Conditions", {})
    declared = template.get("Parameters", {})
    values = {name: parameter["Default"] for name, parameter in declared.items() if "Default" in parameter}
    conditions = {name: holds(condition, values, described) for name, condition in described.items()}
    for section in ("Resources", "Outputs"):
        if section not in template:
            continue
        template[section] = {
            name: part for name, part in template[section].items() if conditions.get(part.pop("Condition", None), True)
        }
    return cast("Template", _resolved(template, conditions))


def holds(
    condition: Mapping[str, Any], values: Mapping[str, object], conditions: Mapping[str, dict[str, Any]] | None = None
) -> bool:
    """Tell whether a condition of a template or of a rule holds, with these values of the parameters.

    `conditions` are the named conditions that it may refer to.
    """
    ((operator, operand),) = condition.items()
    match operator:
        case "Fn::Equals":
            first, second = (_value(each, values) for each in operand)
            return first == second
        case "Fn::Contains":
            return _value(operand[1], values) in [_value(each, values) for each in operand[0]]
        case "Fn::Not":
            return not holds(operand[0], values, conditions)
        case "Fn::And":
            return all(holds(part, values, conditions) for part in operand)
        case "Fn::Or":
            return any(holds(part, values, conditions) for part in operand)
        case "Condition" if conditions is not None:
            return holds(conditions[operand], values, conditions)
    raise NotImplementedError(operator)


def _value(operand: object, values: Mapping[str, object]) -> str:
    match operand:
        case {"Ref": name}:
            return str(values[name])
        case {"Fn::Join": ["", list_of_texts]}:  # a CommaDelimitedList, whose value is one text
            return _value(list_of_texts, values)
        case {}:
            raise NotImplementedError(operand)
    return str(operand)


def _resolved(value: object, conditions: Mapping[str, bool]) -> object:
    """Replace each Fn::If by its result, and leave out what is AWS::NoValue."""
    while isinstance(value, dict) and list(value) == ["Fn::If"]:
        condition, if_true, if_false = value["Fn::If"]
        value = if_true if conditions[condition] else if_false
    if isinstance(value, dict) and value != _NO_VALUE:
        items = ((name, _resolved(item, conditions)) for name, item in value.items())
        return {name: item for name, item in items if item != _NO_VALUE}
    if isinstance(value, list):
        return [item for item in (_resolved(item, conditions) for item in value) if item != _NO_VALUE]
    return value


def number(template: Template, value: Any) -> float:  # noqa: ANN401 - a number, or a reference to a parameter
    """Return a number of a template. It may be the value of a parameter."""
    return float(_of_parameter(template, value))


def stage_variables(template: Template) -> dict[str, str]:
    """Return the variables that API Gateway puts into each event."""
    variables = template["Resources"]["Api"]["Properties"]["Variables"]
    return {name: str(_of_parameter(template, value)) for name, value in variables.items()}


def _of_parameter(template: Template, value: Any) -> Any:  # noqa: ANN401 - a value, or a reference to a parameter
    return template["Parameters"][value["Ref"]]["Default"] if isinstance(value, dict) else value


def violation(described: dict[str, Any], value: str) -> str | None:
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


def functions(template: Template) -> dict[str, dict[str, Any]]:
    """Return the properties of each function by its logical id, including those of Globals."""
    shared = template["Globals"]["Function"]
    merged = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            properties = resource["Properties"]
            variables = {**shared["Environment"]["Variables"], **properties.get("Environment", {}).get("Variables", {})}
            merged[name] = {**shared, **properties, "Environment": {"Variables": variables}}
    return merged


def variables(template: Template, names: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of the functions. A variable has the same value in all functions.

    `names` has the values of references to resources by their logical ids.
    """
    domains = {f"{bucket}.RegionalDomainName": f"{name}.s3.us-east-1.amazonaws.com" for bucket, name in names.items()}
    defaults = {name: str(parameter.get("Default")) for name, parameter in template["Parameters"].items()}
    values = {**defaults, **names, **domains}

    def resolved(value: object) -> str:
        match value:
            case {"Ref": name}:
                return values[name]
            case {"Fn::Sub": text}:
                return re.sub(r"\$\{([\w.]+)\}", lambda reference: values[reference[1]], text)
        return str(value)

    return {
        name: resolved(value)
        for properties in functions(template).values()
        for name, value in properties["Environment"]["Variables"].items()
        # Functions have no versions on this machine.
        if value != {"Ref": "UploadImageFunction.Version"}
    }


def table_definition(template: Template) -> dict[str, Any]:
    """Return the arguments of DynamoDB's CreateTable, without the name of the table."""
    described = template["Resources"]["ImagesTable"]["Properties"]
    copied = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    stream = described["StreamSpecification"] | {"StreamEnabled": True}
    return {attribute: described[attribute] for attribute in copied} | {"StreamSpecification": stream}


def cors_rules(template: Template, bucket: str) -> list[dict[str, Any]]:
    """Return the CORS rules of a bucket, as S3's PutBucketCors takes them."""
    configuration = template["Resources"][bucket]["Properties"].get("CorsConfiguration", {"CorsRules": []})
    origins = template["Parameters"]["AllowedOrigins"]["Default"].split(",")
    return [
        {
            "AllowedMethods": rule["AllowedMethods"],
            "AllowedHeaders": rule.get("AllowedHeaders", []),
            "AllowedOrigins": rule["AllowedOrigins"] if isinstance(rule["AllowedOrigins"], list) else origins,
            "MaxAgeSeconds": rule["MaxAge"],
        }
        for rule in configuration["CorsRules"]
    ]


def handler(properties: dict[str, Any]) -> Callable[[Any, Any], Any]:
    """Import and return the Lambda handler of a function with these properties."""
    if properties.get("PackageType") == "Image":
        path = properties["ImageConfig"]["Command"][0]
    else:
        path = properties["CodeUri"].replace("/", ".") + properties["Handler"]
    module, _, name = path.rpartition(".")
    found: Callable[[Any, Any], Any] = getattr(import_module(module), name)
    return found

"""The result of SAM's transform of template.yaml, with its conditions, and functions that read it.

tools/template.read decides the conditions beforehand. So it cannot show what a changed parameter reaches.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from tools import template
from tools.template import Template

Resources = dict[str, dict[str, Any]]
IMAGE_URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/upload:latest"
OPTIONS = sorted(path.stem for path in (template.ROOT / "options").glob("*.yaml"))
# Their logical ids contain a digest or the time, so that they are replaced at some deployments.
_RENAMED_BY_SAM = {"AWS::ApiGateway::Deployment", "AWS::Lambda::Version", "AWS::Lambda::LayerVersion"}


def transform(described: Template, parameters: Mapping[str, object] | None = None) -> Resources:
    """Return only the resources of `transform_all`."""
    resources: Resources = transform_all(described, parameters)["Resources"]
    return resources


def transform_all(
    described: Template, parameters: Mapping[str, object] | None = None, image_uri: str = IMAGE_URI
) -> Template:
    """Return the whole template into which SAM transforms `described`.

    Only a few parameters, such as UseCanary, are used by SAM itself.
    """
    transformed: Template = json.loads(_transformed(json.dumps([described, dict(parameters or {}), image_uri])))
    return transformed


@cache
def _transformed(arguments: str) -> str:
    # SAM takes 0.1 s, and many tests transform the same template.
    described, parameters, image_uri = json.loads(arguments)
    for resource in described["Resources"].values():
        properties = resource.get("Properties", {})
        for name in {"CodeUri", "ContentUri"} & set(properties):
            properties[name] = "s3://bucket/key"
        if properties.get("PackageType") == "Image":
            properties["ImageUri"] = image_uri
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    return json.dumps(translator.translate(described, parameters))


@cache
def core() -> Template:
    """Return the transformed template with all its conditional resources, also those of UseCanary. Do not change it."""
    return transform_all(template.raw(), {"UseCanary": "true"})


def option(name: str) -> Template:
    """Return a template of options/, which CloudFormation reads as it is."""
    return template.raw(Path(template.ROOT, "options", f"{name}.yaml"))


def of_type(resources: Resources, kind: str) -> Resources:
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def statements(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the statements of a role that do not depend on parameters."""
    for policy in role["Properties"]["Policies"]:
        if "Fn::If" not in policy:
            yield from policy["PolicyDocument"]["Statement"]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def references(value: object, described: Template) -> set[str]:
    """Return the parameters, pseudo parameters and resources that a value depends on, also through its conditions."""
    found: set[str] = set()
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            return {name}
        case {"Condition": str(name), **rest}:  # a condition, or a resource that has one
            return references([described["Conditions"][name], rest], described)
        case {"Fn::If": [str(condition), *branches]}:
            return references([{"Condition": condition}, *branches], described)
        case {"Fn::Sub": str(text)}:
            return _placeholders(text)
        case {"Fn::Sub": [str(text), dict(given)]}:
            return (_placeholders(text) - set(given)) | references(list(given.values()), described)
        case dict():
            found = found.union(*(references(part, described) for part in value.values()))
        case list():
            found = found.union(*(references(part, described) for part in value))
    return found


def _placeholders(text: str) -> set[str]:
    return {name.partition(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text)}


def schema(kind: str) -> dict[str, Any]:
    """Return CloudFormation's schema of a type, as cfn-lint ships it."""
    found: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return found


def property_of(resource: dict[str, Any], pointer: str) -> object:
    """Return the value at a pointer of a schema, such as /properties/Budget/BudgetName, or None."""
    return _at(resource.get("Properties", {}), pointer.removeprefix("/properties/").split("/"))


def _at(value: object, names: list[str]) -> object:
    match value, names:
        case _, []:
            return value
        case {"Fn::If": [condition, *branches]}, _:
            found = [_at(branch, names) for branch in branches]
            return {"Fn::If": [condition, *found]} if any(each is not None for each in found) else None
        case dict(), [name, *below]:
            return _at(value.get(name), below)
    return None


def create_only(resource: dict[str, Any]) -> list[str]:
    """Return JSON pointers to the properties of a resource. A change of one of them replaces the resource."""
    pointers: list[str] = schema(resource["Type"]).get("createOnlyProperties", [])
    return [pointer for pointer in pointers if property_of(resource, pointer) is not None]


def causes(values: Iterable[object], described: Template) -> set[str]:
    """Return what can change a value: parameters, also those that replace a resource to which it refers.

    A resource that SAM renames counts as a cause itself.
    """
    found = set()
    for name in references(list(values), described):
        if name in described.get("Parameters", {}):
            found.add(name)
        elif resource := described["Resources"].get(name):
            if resource["Type"] in _RENAMED_BY_SAM:
                found.add(name)
            found |= causes((property_of(resource, pointer) for pointer in create_only(resource)), described)
    return found

"""What the local API takes from template.yaml."""

from pathlib import Path
from typing import Any

from samcli.yamlhelper import yaml_parse

PATH = Path(__file__).parent.parent / "template.yaml"
Template = dict[str, Any]


def read() -> Template:
    """Return the template with its intrinsic functions in long form, `{"Ref": ...}`."""
    template: Template = yaml_parse(PATH.read_text())
    return template


def functions(template: Template) -> dict[str, dict[str, Any]]:
    """Return the properties of each function by its logical id, those of Globals included."""
    shared = template["Globals"]["Function"]
    merged = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            properties = resource["Properties"]
            variables = {**shared["Environment"]["Variables"], **properties.get("Environment", {}).get("Variables", {})}
            merged[name] = {**shared, **properties, "Environment": {"Variables": variables}}
    return merged

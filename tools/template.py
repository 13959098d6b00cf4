"""Reads template.yaml for the local API, the tools and the tests."""

from collections.abc import Callable
from importlib import import_module
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
    """Return the properties of each function by its logical id, including those of Globals.

    Variables with the value AWS::NoValue are left out, as CloudFormation does.
    """
    shared = template["Globals"]["Function"]
    merged = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            properties = resource["Properties"]
            variables = {**shared["Environment"]["Variables"], **properties.get("Environment", {}).get("Variables", {})}
            existing = {name: value for name, value in variables.items() if value != {"Ref": "AWS::NoValue"}}
            merged[name] = {**shared, **properties, "Environment": {"Variables": existing}}
    return merged


def table_definition(template: Template) -> dict[str, Any]:
    """Return the arguments of DynamoDB's CreateTable, without the name of the table."""
    described = template["Resources"]["ImagesTable"]["Properties"]
    copied = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    stream = described["StreamSpecification"] | {"StreamEnabled": True}
    return {attribute: described[attribute] for attribute in copied} | {"StreamSpecification": stream}


def allowed_origins(template: Template) -> list[str]:
    """Return the origins whose pages may use the API: the default of the parameter."""
    origins: str = template["Parameters"]["AllowedOrigins"]["Default"]
    return origins.split(",") if origins else []


def cors_rules(template: Template, bucket: str) -> list[dict[str, Any]]:
    """Return the CORS rules of a bucket, as S3's PutBucketCors takes them."""
    configuration, origins = template["Resources"][bucket]["Properties"]["CorsConfiguration"], allowed_origins(template)
    if "Fn::If" in configuration:
        _, if_shared, _ = configuration["Fn::If"]
        configuration = if_shared if origins else {"CorsRules": []}
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

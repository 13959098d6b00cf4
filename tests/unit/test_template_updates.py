"""Proves that a parameter with another value reaches everything that it names, when a stack is updated.

Most properties change in place. Two resources are copies of an earlier state, so each change must make a new copy: the
deployment of the API, which the stage serves, and the version of the upload function, to which alias `live` leads.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import count
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest

from tests.transformed import causes, create_only, of_type, transform_all
from tools import template
from tools.template import Template

Parameter = dict[str, Any]
Change = Callable[[Template], object]
# Every pattern of a parameter accepts at least one of these texts.
_TEXTS = (
    "https://one.example",
    "https://two.example",
    "arn:aws:sns:us-east-1:123456789012:alarms",
    "arn:aws:acm:us-east-1:123456789012:certificate/1",
    "arn:aws:kms:us-east-1:123456789012:key/1",
    "cron(0 7 ? * MON-FRI *)",
    "images.example.com",
    "1600",
)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a second pass between two transformations, as at least one does between two deployments."""
    seconds = count()
    monkeypatch.setattr("samtranslator.model.apigateway.time", SimpleNamespace(time=lambda: next(seconds)))


def described(change: Change | None = None) -> Template:
    raw = template.raw()
    if change is not None:
        change(raw)
    return raw


def defaults(raw: Template) -> dict[str, object]:
    return {name: parameter["Default"] for name, parameter in raw["Parameters"].items()}


def another_value(parameter: Parameter) -> object:
    """Return an allowed value other than the default."""
    default = parameter["Default"]
    if "AllowedValues" in parameter:
        return next(value for value in parameter["AllowedValues"] if value != default)
    if parameter["Type"] == "Number":
        return default - 1 if default == parameter.get("MaxValue") else default + 1
    pattern = parameter.get("AllowedPattern", ".+")
    return next(text for text in _TEXTS if text != default and re.fullmatch(pattern, text))


def test_every_parameter_has_another_value_to_try() -> None:
    for name, parameter in described()["Parameters"].items():
        assert another_value(parameter) != parameter["Default"], name


def used_in_the_deployment(transformed: Template) -> set[str]:
    """Return the parameters whose values a deployment of the API copies: those in any property of the API."""
    (api,) = of_type(transformed["Resources"], "AWS::ApiGateway::RestApi").values()
    return causes([api["Properties"]], transformed) & set(transformed["Parameters"])


def used_in_versions(transformed: Template) -> dict[str, set[str]]:
    """Return, for each version of a function, the parameters that it freezes."""
    resources = transformed["Resources"]
    used = {}
    for name, version in of_type(resources, "AWS::Lambda::Version").items():
        properties = resources[version["Properties"]["FunctionName"]["Ref"]]["Properties"]
        frozen = [value for key, value in properties.items() if is_frozen(key)]
        used[name] = causes(frozen, transformed) & set(transformed["Parameters"])
    return used


def is_frozen(name: str) -> bool:
    """Tell whether a version keeps this property of its function.

    Lambda's PublishVersion returns what a version has: memory and variables, but not the reserved concurrency, which
    belongs to the function and changes in place. Its name may be longer there: ImageConfigResponse, CodeSize.
    """
    return any(member.startswith(name.lower()) for member in _members_of_a_version())


@cache
def _members_of_a_version() -> frozenset[str]:
    response: Any = _lambda().operation_model("PublishVersion").output_shape
    return frozenset(member.lower() for member in response.members)


@cache
def _lambda() -> Any:
    return botocore.session.get_session().get_service_model("lambda")


def used_in_the_build(raw: Template) -> set[str]:
    """Return the parameters that become part of an image."""
    arguments = [
        resource.get("Metadata", {}).get("DockerBuildArgs", {})
        for resource in of_type(raw["Resources"], "AWS::Serverless::Function").values()
    ]
    return causes(arguments, raw)


def deployment_id(raw: Template, values: Mapping[str, object]) -> str:
    (name,) = of_type(transform_all(raw, values)["Resources"], "AWS::ApiGateway::Deployment")
    return name


def unreached_by_the_stage(change: Change | None = None) -> set[str]:
    """Return the parameters whose new value leaves the stage with its old deployment."""
    values = defaults(described())
    before = deployment_id(described(change), values)
    used = used_in_the_deployment(transform_all(described(change)))
    assert used
    return {
        name
        for name in used
        if deployment_id(described(change), values | {name: another_value(described()["Parameters"][name])}) == before
    }


def resolved(text: str, values: Mapping[str, object]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: str(values[match[1]]), text)


def unreached_by_versions(change: Change | None = None) -> set[str]:
    """Return the parameters whose new value leaves an alias with a version that has the old value."""
    transformed = transform_all(described(change))
    values, found = defaults(transformed), set()
    for name, used in used_in_versions(transformed).items():
        assert used
        text = description(transformed, name)
        for parameter in used:
            changed = values | {parameter: another_value(transformed["Parameters"][parameter])}
            if f"${{{parameter}}}" not in text or resolved(text, changed) == resolved(text, values):
                found.add(parameter)
    return found


def description(transformed: Template, version: str) -> str:
    """Return the template of the text that causes a new version."""
    text = transformed["Resources"][version]["Properties"].get("Description", {"Fn::Sub": ""})["Fn::Sub"]
    assert isinstance(text, str)
    return text


def longest(parameter: Parameter) -> int | None:
    """Return the length of the longest value of a parameter, or None if there is no bound."""
    if "AllowedValues" in parameter:
        return max(len(str(value)) for value in parameter["AllowedValues"])
    if parameter["Type"] == "Number":
        bounds = [parameter.get("MinValue"), parameter.get("MaxValue")]
        return None if None in bounds else max(len(str(bound)) for bound in bounds)
    bound: int | None = parameter.get("MaxLength")
    return bound


def faults_of_descriptions(change: Change | None = None) -> Iterator[str]:
    """Yield the faults in the version descriptions, which must differ whenever a setting of the function differs."""
    transformed = transform_all(described(change))
    resources, parameters = transformed["Resources"], transformed["Parameters"]
    limit = _lambda().shape_for("Description").metadata["max"]
    for name, version in of_type(resources, "AWS::Lambda::Version").items():
        text = description(transformed, name)
        if not re.fullmatch(r"\$\{\w+\}( \$\{\w+\})*", text):
            yield "two lists of values may give the same text"
        length = len(re.sub(r"\$\{\w+\}", "", text))
        for parameter in re.findall(r"\$\{(\w+)\}", text):
            if (added := longest(parameters[parameter])) is None:
                yield f"{parameter} has no bound"
            else:
                length += added
        if length > limit:
            yield f"{length} characters are more than {limit}"
        if "/properties/Description" not in create_only(version):
            yield "another text does not replace the version"
        if not version.get("UpdateReplacePolicy") == version.get("DeletionPolicy") == "Retain":
            yield "an earlier version is deleted"
        # Lambda publishes no version of a function that has not changed since the last one.
        properties = resources[version["Properties"]["FunctionName"]["Ref"]]["Properties"]
        if properties["Environment"]["Variables"].get("VERSION_DESCRIPTION") != {"Fn::Sub": text}:
            yield "the function may be unchanged although the text is new"


def test_the_stage_gets_each_parameter_of_the_api() -> None:
    used = used_in_the_deployment(transform_all(described()))
    assert {"ApiAuth", "AllowedOrigins"} <= used
    # Properties of the stage itself change in place.
    assert not {"ThrottlingRateLimit", "UploadRateLimit", "AccessLogs"} & used
    assert unreached_by_the_stage() == set()


def test_a_stage_that_keeps_its_deployment_is_noticed() -> None:
    def never_deployed_again(raw: Template) -> None:
        del raw["Resources"]["Api"]["Properties"]["AlwaysDeploy"]

    assert {"ApiAuth", "AllowedOrigins"} <= unreached_by_the_stage(never_deployed_again)


def test_the_alias_gets_each_parameter_of_its_function() -> None:
    (used,) = used_in_versions(transform_all(described())).values()
    assert {"UploadMemorySize", "StartMode", "AllowedOrigins", "UseTracing", "LogLevel", "Architecture"} <= used
    # The alias has the first, the function as a whole has the second. Both change in place.
    assert not {"ProvisionedEnvironments", "MaxConcurrentUploads"} & used
    missing = unreached_by_versions()
    assert not missing, f"template.yaml: UploadImageFunction: VersionDescription: add {sorted(missing)}"


def forget(parameter: str) -> Change:
    """Return a change that removes a parameter from the text that causes new versions."""

    def change(raw: Template) -> None:
        description = upload_function(raw)["Properties"]["VersionDescription"]
        description["Fn::Sub"] = description["Fn::Sub"].replace(f"${{{parameter}}} ", "")

    return change


@pytest.mark.parametrize("parameter", ["StartMode", "AllowedOrigins", "UseTracing"])
def test_a_parameter_that_makes_no_new_version_is_noticed(parameter: str) -> None:
    assert unreached_by_versions(forget(parameter)) == {parameter}


def test_a_new_parameter_of_the_upload_function_or_of_what_it_uses_is_noticed() -> None:
    def add(raw: Template) -> None:
        raw["Parameters"]["Nested"] = {"Type": "String", "Default": "a", "AllowedValues": ["a", "b"]}
        raw["Conditions"]["Outer"] = {"Fn::Not": [{"Condition": "Inner"}]}
        raw["Conditions"]["Inner"] = {"Fn::Equals": [{"Ref": "Nested"}, "a"]}
        raw["Globals"]["Function"]["Environment"]["Variables"]["NESTED"] = {"Fn::If": ["Outer", "1", "0"]}
        # Another name replaces the table.
        raw["Parameters"]["Table"] = {"Type": "String", "Default": "a", "MaxLength": 9}
        raw["Resources"]["ImagesTable"]["Properties"]["TableName"] = {"Ref": "Table"}

    assert unreached_by_versions(add) == {"Nested", "Table"}


def test_texts_of_versions_have_room_for_the_longest_values_and_replace_the_version() -> None:
    assert list(faults_of_descriptions()) == []


def upload_function(raw: Template) -> Template:
    function: Template = raw["Resources"]["UploadImageFunction"]
    return function


def without_separators(raw: Template) -> None:
    properties = upload_function(raw)["Properties"]
    text = properties["VersionDescription"]["Fn::Sub"].replace(" ", "")
    properties["VersionDescription"]["Fn::Sub"] = text
    properties["Environment"]["Variables"]["VERSION_DESCRIPTION"] = {"Fn::Sub": text}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda raw: raw["Parameters"]["AllowedOrigins"].pop("MaxLength"), "AllowedOrigins has no bound"),
        (lambda raw: raw["Parameters"]["RetentionDays"].pop("MaxValue"), "RetentionDays has no bound"),
        (lambda raw: raw["Parameters"]["AllowedOrigins"].update(MaxLength=256), "characters are more than 256"),
        (lambda raw: upload_function(raw).pop("UpdateReplacePolicy"), "an earlier version is deleted"),
        (
            lambda raw: upload_function(raw)["Properties"]["Environment"]["Variables"].pop("VERSION_DESCRIPTION"),
            "the function may be unchanged although the text is new",
        ),
        (without_separators, "two lists of values may give the same text"),
    ],
)
def test_a_text_of_versions_with_a_fault_is_noticed(change: Change, fault: str) -> None:
    (found,) = faults_of_descriptions(change)
    assert fault in found


def test_values_without_blanks_cannot_give_the_same_text() -> None:
    (text,) = (description(core, name) for core in [transform_all(described())] for name in used_in_versions(core))
    for name in re.findall(r"\$\{(\w+)\}", text):
        parameter = described()["Parameters"][name]
        if "AllowedValues" not in parameter and parameter["Type"] != "Number":
            assert not re.fullmatch(parameter["AllowedPattern"], f"{another_value(parameter)} 1")


def test_a_parameter_of_the_build_reaches_the_alias_with_its_image() -> None:
    assert used_in_the_build(described()) == {"Model", "ModelRevision", "Precision", "BaseImage"}
    images = [f"123456789012.dkr.ecr.us-east-1.amazonaws.com/upload:{digest}" for digest in ("one", "two", "two")]
    one, two, again = (set(used_in_versions(transform_all(described(), image_uri=image))) for image in images)
    assert not one & two
    assert two == again


def unused_parameters(change: Change | None = None) -> set[str]:
    """Return the parameters whose new value changes nothing."""
    raw, values = described(change), defaults(described(change)) | {"UseCanary": "true"}
    transformed = transform_all(described(change), values)
    unused = set(raw["Parameters"]) - causes([transformed["Resources"]], transformed) - used_in_the_build(raw)
    # SAM replaces some references by the value, such as the one to CanaryType.
    return {
        name
        for name in unused
        if transform_all(described(change), values | {name: another_value(raw["Parameters"][name])})["Resources"]
        == transformed["Resources"]
    }


def test_every_parameter_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samtranslator.model.apigateway.time", SimpleNamespace(time=lambda: 0))
    assert unused_parameters() == set()

    def add(raw: Template) -> None:
        raw["Parameters"]["Unused"] = {"Type": "Number", "Default": 0}

    assert unused_parameters(add) == {"Unused"}

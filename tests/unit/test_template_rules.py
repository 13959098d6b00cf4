"""Rules for template.yaml and the templates in options/, each with a broken template that it notices."""

import re
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from cfnlint.helpers import REGIONS
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.transformed import OPTIONS, causes, core, create_only, of_type, option, property_of, references, schema
from tools import template
from tools.template import Template

Change = Callable[[Template], None]
CORE = "template"
TEMPLATES = [CORE, *OPTIONS]


def deployed(name: str, change: Change | None = None) -> Template:
    """Return the template that CloudFormation gets, with its conditions."""
    described = deepcopy(core()) if name == CORE else option(name)
    if change is not None:
        change(described)
    return described


# Permissions are part of the role itself. CloudFormation attaches a separate policy at some time after the role exists,
# and nothing that uses the role waits for it.


def separate_policies(described: Template) -> set[str]:
    """Return the policies that are attached to a role of the same template."""
    resources = described["Resources"]
    roles = set(of_type(resources, "AWS::IAM::Role"))
    return {
        name
        for name, resource in resources.items()
        if re.fullmatch(r"AWS::IAM::(Policy|ManagedPolicy|RolePolicy)", resource["Type"])
        and references(resource["Properties"], described) & roles
    }


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_role_gets_permissions_from_a_separate_policy(name: str) -> None:
    assert separate_policies(deployed(name)) == set()


@pytest.mark.parametrize(
    ("kind", "attached"),
    [
        ("Policy", {"Roles": [{"Ref": "GetImageRole"}]}),
        ("ManagedPolicy", {"Roles": [{"Fn::If": ["UseTracing", {"Ref": "GetImageRole"}, {"Ref": "AWS::NoValue"}]}]}),
        ("RolePolicy", {"RoleName": {"Fn::Sub": "${GetImageRole}"}}),
    ],
)
def test_a_separate_policy_is_noticed(kind: str, attached: dict[str, Any]) -> None:
    def add(described: Template) -> None:
        described["Resources"]["Separate"] = {"Type": f"AWS::IAM::{kind}", "Properties": {"PolicyName": "x"} | attached}

    assert separate_policies(deployed(CORE, add)) == {"Separate"}


# CloudFormation makes a new resource before it deletes the one that it replaces. So both need different names.


def identities(resource: dict[str, Any]) -> list[set[str]]:
    """Return pointers to the properties that name a resource, if the template chooses its name.

    AWS chooses the other names.
    """
    described = schema(resource["Type"])
    kind = resource["Type"].rpartition(":")[2]
    found = [{pointer} for pointer in create_only(resource) if pointer.endswith(("/Name", f"/{kind}Name"))]
    primary = set(described["primaryIdentifier"])
    is_chosen = not primary & set(described.get("readOnlyProperties", []))
    if is_chosen and all(property_of(resource, pointer) is not None for pointer in primary):
        found.append(primary)
    return found


def colliding_names(described: Template) -> set[str]:
    """Return each resource whose name would stay the same after a replacement, and the change that replaces it."""
    found = set()
    for name, resource in described["Resources"].items():
        for identity in identities(resource):
            others = [property_of(resource, pointer) for pointer in set(create_only(resource)) - identity]
            named_by = causes((property_of(resource, pointer) for pointer in identity), described)
            found |= {f"{name}: {cause}" for cause in causes(others, described) - named_by}
    return found


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_replacement_has_another_name(name: str) -> None:
    assert colliding_names(deployed(name)) == set()


def name_the_budget(described: Template) -> None:
    properties = described["Resources"]["Budget"]["Properties"]
    named = properties["Budget"] | {"BudgetName": {"Fn::Sub": "${AWS::StackName}-budget"}}
    properties["Budget"] = {"Fn::If": ["IsNamed", named, properties["Budget"]]}
    described["Conditions"] = {"IsNamed": {"Fn::Equals": [{"Ref": "AWS::StackName"}, "images"]}}


def name_the_pipe(described: Template) -> None:
    described["Resources"]["EventsPipe"]["Properties"]["Name"] = {"Ref": "StackName"}


def name_an_alias(described: Template) -> None:
    described["Resources"]["Named"] = {
        "Type": "AWS::Lambda::Alias",
        "Properties": {
            "Name": "fixed",
            "FunctionName": {"Fn::If": ["UseTokens", {"Ref": "AuthorizeFunction"}, {"Ref": "GetImageFunction"}]},
            "FunctionVersion": "1",
        },
    }


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        (CORE, name_an_alias, {"Named: ApiAuth"}),
        ("events", name_the_pipe, {"EventsPipe: StreamArn"}),
    ],
)
def test_a_replacement_with_the_same_name_is_noticed(name: str, change: Change, found: set[str]) -> None:
    assert colliding_names(deployed(name, change)) == found


def test_a_budget_with_a_name_is_noticed() -> None:
    # A new topic replaces a budget.
    assert colliding_names(deployed("budget", name_the_budget)) == {"Budget: AlarmTopicArn"}
    assert names_of_one_region(deployed("budget", name_the_budget)) == {"Budget"}


# Two stacks in two regions of an account may have the same name.

GLOBAL_NAMES = {
    "AWS::Budgets::Budget": "/properties/Budget/BudgetName",
    "AWS::CloudWatch::Dashboard": "/properties/DashboardName",
    "AWS::IAM::Role": "/properties/RoleName",
    "AWS::IAM::Policy": "/properties/PolicyName",
    "AWS::IAM::ManagedPolicy": "/properties/ManagedPolicyName",
    "AWS::S3::Bucket": "/properties/BucketName",
}


def names_of_one_region(described: Template) -> set[str]:
    """Return the resources that a stack of the same name in another region cannot create."""
    return {
        name
        for name, resource in described["Resources"].items()
        if (pointer := GLOBAL_NAMES.get(resource["Type"]))
        and (chosen := property_of(resource, pointer)) is not None
        and "AWS::Region" not in references(chosen, described)
    }


@pytest.mark.parametrize("name", TEMPLATES)
def test_two_regions_may_have_a_stack_of_the_same_name(name: str) -> None:
    assert names_of_one_region(deployed(name)) == set()


def test_a_global_name_without_the_region_is_noticed() -> None:
    def name_it(described: Template) -> None:
        described["Resources"]["Dashboard"]["Properties"]["DashboardName"] = {"Ref": "StackName"}

    def name_it_after_its_region(described: Template) -> None:
        described["Resources"]["Dashboard"]["Properties"]["DashboardName"] = {"Fn::Sub": "${StackName}-${AWS::Region}"}

    assert names_of_one_region(deployed("monitoring", name_it)) == {"Dashboard"}
    assert names_of_one_region(deployed("monitoring", name_it_after_its_region)) == set()


# A type that a region does not know may fail the whole template, even behind a condition that is false.


def usual_regions() -> list[str]:
    """Return the regions that cfn-lint knows, without those of China and of governments, which need other accounts."""
    return sorted(name for name in REGIONS if not re.match(r"cn-|us-gov-|us-iso|eu-iso|eusc-", name))


def missing_types(described: Template) -> dict[str, set[str]]:
    """Return the types that some regions do not have, and these regions."""
    types = {resource["Type"] for resource in described["Resources"].values()}
    found: dict[str, set[str]] = {}
    for region in usual_regions():
        for kind in types - set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region)):
            found.setdefault(kind, set()).add(region)
    return found


def documented_regions() -> dict[str, set[str]]:
    """Return the lists of docs/operations.md: the file of each, and its regions."""
    text = (template.ROOT / "docs" / "operations.md").read_text()
    (section,) = re.findall(r"^## Regions\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    return {
        title: set(re.findall(r"\b[a-z]{2}-[a-z]+-\d\b", words))
        for title, words in re.findall(r"^- `([\w/.]+)`(.*?)(?=^- |\Z)", section, re.MULTILINE | re.DOTALL)
    }


def test_the_core_can_be_created_in_each_region_that_the_documentation_names() -> None:
    assert missing_types(deployed(CORE)) == {}
    assert documented_regions()["template.yaml"] == set(usual_regions())


@pytest.mark.parametrize("name", OPTIONS)
def test_the_documentation_names_the_regions_without_an_option(name: str) -> None:
    missing = set().union(*missing_types(option(name)).values())
    assert documented_regions().get(f"options/{name}.yaml", set()) == missing


def optional_rare_types(described: Template) -> set[str]:
    """Return the resources of types that some regions lack, if other resources of the option can do without them.

    A region without their type would lose these others too.
    """
    rare = missing_types(described)
    return {
        name
        for name, resource in described["Resources"].items()
        if resource["Type"] in rare and "Condition" in resource
    }


@pytest.mark.parametrize("name", OPTIONS)
def test_a_region_without_a_type_loses_only_what_needs_it(name: str) -> None:
    assert optional_rare_types(option(name)) == set()


def test_an_option_that_needs_a_rare_type_only_sometimes_is_noticed() -> None:
    def add(described: Template) -> None:
        described["Resources"]["Budget"] = {"Type": "AWS::Budgets::Budget", "Condition": "HasAlarmTopic"}

    assert optional_rare_types(deployed("monitoring", add)) == {"Budget"}


def test_a_type_that_some_regions_lack_is_noticed() -> None:
    def add(described: Template) -> None:
        described["Resources"]["Pipe"] = {"Type": "AWS::Pipes::Pipe", "Condition": "UseTokens", "Properties": {}}

    (regions,) = missing_types(deployed(CORE, add)).values()
    assert {"ca-west-1", "il-central-1", "mx-central-1"} <= regions


def nested_stacks(described: Template) -> dict[str, dict[str, Any]]:
    """Return the parameters that template.yaml passes to each option."""
    return {
        stack["Properties"]["TemplateURL"].removeprefix("options/").removesuffix(".yaml"): stack["Properties"][
            "Parameters"
        ]
        for stack in of_type(described["Resources"], "AWS::CloudFormation::Stack").values()
    }


def wrong_parameters(described: Template) -> set[str]:
    """Return the parameters of options that are missing or unknown."""
    return {
        parameter
        for name, given in nested_stacks(described).items()
        for parameter in set(given) ^ set(option(name)["Parameters"])
    }


def test_each_option_is_a_nested_stack_that_gets_all_its_parameters() -> None:
    assert sorted(nested_stacks(template.raw())) == OPTIONS
    assert wrong_parameters(template.raw()) == set()
    for name in OPTIONS:
        # A default would hide that a parameter is not passed.
        assert not [parameter for parameter in option(name)["Parameters"].values() if "Default" in parameter]


def test_a_parameter_that_an_option_does_not_get_is_noticed() -> None:
    described = template.raw()
    given = next(iter(of_type(described["Resources"], "AWS::CloudFormation::Stack").values()))["Properties"][
        "Parameters"
    ]
    removed = next(iter(given))
    del given[removed]
    given["Unknown"] = "1"
    assert wrong_parameters(described) == {removed, "Unknown"}


def is_introduced(text: str) -> bool:
    """Tell whether a template begins with a comment that says what it adds and what that costs."""
    comment = re.match(r"(# .+\n)+", text)
    return (
        comment is not None and re.search(r"dollar|\bfree\b", comment[0]) is not None and "template.yaml" in comment[0]
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_says_first_what_it_adds_and_what_it_costs(name: str) -> None:
    text = (template.ROOT / "options" / f"{name}.yaml").read_text()
    assert is_introduced(text)
    assert not is_introduced(text.partition("AWSTemplateFormatVersion")[2])
    assert not is_introduced("# What watches the stack. template.yaml creates it.\n" + text.partition("\nAWS")[2])


def groups_of_parameters(described: Template) -> Counter[str]:
    interface = described["Metadata"]["AWS::CloudFormation::Interface"]
    return Counter(name for group in interface["ParameterGroups"] for name in group["Parameters"])


def test_each_parameter_is_in_one_group() -> None:
    described = template.raw()
    missing = set(described["Parameters"]) - set(groups_of_parameters(described))
    assert not missing, f"template.yaml: Metadata: ParameterGroups: add {sorted(missing)}"
    assert groups_of_parameters(described) == Counter(described["Parameters"].keys())
    described["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"][0]["Parameters"].pop()
    assert groups_of_parameters(described) != Counter(described["Parameters"].keys())
    again = template.raw()
    again["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"][0]["Parameters"].append("ApiAuth")
    assert groups_of_parameters(again) != Counter(again["Parameters"].keys())

"""The second day of a stack: each parameter is changed and changed back, and must reach everything that it names.

When the body of the API changes, the emulator makes a new API with another URL. AWS changes the API in place, but
requests only meet the change after a new deployment. That AWS makes one is proved on the transformed template
(tests/unit/test_template_updates.py).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
import requests

from tests.rehearsal.stack import UNKNOWN_TYPES, Stack
from tools import template

ORIGIN = "https://app.example"
TOPIC = "arn:aws:sns:us-east-1:000000000000:alarms"
KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-1111-1111-1111-111111111111"
TOKENS = {"ApiAuth": "JWT", "JwtIssuer": "https://issuer.example/one"}
DOMAIN = {"DomainName": "images.example.com", "CertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/x"}
# Values for each parameter, set one after the other. The test of the next parameter sets the defaults again.
VALUES: dict[str, list[dict[str, str]]] = {
    "Model": [{"Model": "owner/name"}],
    "ModelRevision": [{"ModelRevision": "0" * 40}],
    "Precision": [{"Precision": "int8"}],
    "Architecture": [{"Architecture": "arm64"}],
    "BaseImage": [{"BaseImage": "public.ecr.aws/lambda/python@sha256:0"}],
    "MaxUploadBytes": [{"MaxUploadBytes": "1000000"}],
    "MaxDirectUploadBytes": [{"MaxDirectUploadBytes": "60000000"}],
    "MaxImagePixels": [{"MaxImagePixels": "1000000"}],
    "MaxDirectImagePixels": [{"MaxDirectImagePixels": "1000000"}],
    "LargeThumbnail": [{"LargeThumbnail": "1600"}],
    "MaxCaptionTokens": [{"MaxCaptionTokens": "30"}],
    "MaxCaptionRepeats": [{"MaxCaptionRepeats": "3"}],
    "UrlExpirySeconds": [{"UrlExpirySeconds": "60"}],
    "GatewayTimeoutSeconds": [{"GatewayTimeoutSeconds": "60"}],
    "UploadMemorySize": [{"UploadMemorySize": "4000"}, {"UploadMemorySize": "1769"}],
    "StartMode": [{"StartMode": "snapstart"}, {"StartMode": "provisioned"}],
    "ProvisionedEnvironments": [
        {"StartMode": "provisioned", "ProvisionedEnvironments": "2"},
        {"StartMode": "provisioned", "ProvisionedEnvironments": "3"},
    ],
    "MaxConcurrentWorkers": [{"MaxConcurrentWorkers": "2"}],
    "MaxConcurrentFollowers": [{"MaxConcurrentFollowers": "1"}],
    "MaxConcurrentWaits": [{"MaxConcurrentWaits": "2"}],
    "AllowedOrigins": [
        {"AllowedOrigins": ORIGIN},
        {"AllowedOrigins": "*"},
        {"AllowedOrigins": f"{ORIGIN},https://b.example"},
    ],
    "RetentionDays": [{"RetentionDays": "30"}],
    "KeepOriginalsDays": [{"KeepOriginalsDays": "7"}, {"KeepOriginalsDays": "14"}],
    "Duplicates": [{"Duplicates": "find"}],
    "PublishEvents": [{"PublishEvents": "true"}],
    "AlarmTopicArn": [{"AlarmTopicArn": TOPIC}, {"AlarmTopicArn": f"{TOPIC}-2"}],
    "CreateDashboard": [{"CreateDashboard": "true"}],
    "MonthlyBudget": [
        {"MonthlyBudget": "100", "AlarmTopicArn": TOPIC},
        {"MonthlyBudget": "200", "AlarmTopicArn": TOPIC},
    ],
    "UseWaf": [{"UseWaf": "true"}],
    "WafRateLimit": [{"UseWaf": "true", "WafRateLimit": "100"}, {"UseWaf": "true", "WafRateLimit": "200"}],
    "DomainName": [DOMAIN, DOMAIN | {"DomainName": "pictures.example.com"}],
    "CertificateArn": [DOMAIN, DOMAIN | {"CertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/y"}],
    "KmsKeyArn": [{"KmsKeyArn": KEY}, {"KmsKeyArn": KEY.replace("1111", "2222"), "FormerKmsKeyArns": KEY}],
    "FormerKmsKeyArns": [{"FormerKmsKeyArns": KEY}, {"FormerKmsKeyArns": f"{KEY},{KEY.replace('1111', '2222')}"}],
    "ProtectTable": [{"ProtectTable": "true"}],
    "LogRetentionDays": [{"LogRetentionDays": "90"}],
    "LogLevel": [{"LogLevel": "DEBUG"}],
    "AccessLogs": [{"AccessLogs": "true"}],
    "UseTracing": [{"UseTracing": "true"}],
    "UseCanary": [{"UseCanary": "true"}],
    "CanaryType": [{"UseCanary": "true", "CanaryType": "Linear10PercentEvery1Minute"}],
    "ApiAuth": [{"ApiAuth": "API_KEY"}, {"ApiAuth": "AWS_IAM"}, TOKENS, {"ApiAuth": "API_KEY"}],
    "ApiKeyRateLimit": [{"ApiAuth": "API_KEY", "ApiKeyRateLimit": "20"}],
    "ApiKeyBurstLimit": [{"ApiAuth": "API_KEY", "ApiKeyBurstLimit": "40"}],
    "ApiKeyDailyQuota": [{"ApiAuth": "API_KEY", "ApiKeyDailyQuota": "20000"}],
    "JwtIssuer": [TOKENS, TOKENS | {"JwtIssuer": "https://issuer.example/two"}],
    "JwtAudience": [TOKENS | {"JwtAudience": "one"}, TOKENS | {"JwtAudience": "one,two"}],
    "JwtDiscoveryUrl": [TOKENS | {"JwtDiscoveryUrl": "https://issuer.example/other"}],
    "JwtMaxKeyAgeHours": [TOKENS | {"JwtMaxKeyAgeHours": "48"}],
    "Owners": [{"ApiAuth": "API_KEY", "Owners": "caller"}, TOKENS | {"Owners": "caller"}],
    "OwnerClaim": [TOKENS | {"Owners": "caller", "OwnerClaim": "oid"}],
    "OwnerMaxImages": [{"ApiAuth": "API_KEY", "Owners": "caller", "OwnerMaxImages": "1000"}],
    "OwnerDailyUploads": [{"ApiAuth": "API_KEY", "Owners": "caller", "OwnerDailyUploads": "100"}],
    "UploadRateLimit": [{"UploadRateLimit": "6"}],
    "UploadBurstLimit": [{"UploadBurstLimit": "12"}],
    "MaxConcurrentUploads": [{"MaxConcurrentUploads": "5"}, {"MaxConcurrentUploads": "6"}],
    "ThrottlingRateLimit": [{"ThrottlingRateLimit": "60"}],
    "ThrottlingBurstLimit": [{"ThrottlingBurstLimit": "120"}],
}
# The emulator does not know scheduled scaling, and these parameters reach nothing else.
NOT_EMULATED = {"ProvisionedFrom", "ProvisionedUntil", "ProvisionedTimezone"}
# Parameters that change the same resource.
PAIRS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "the API": (TOKENS, {"AllowedOrigins": ORIGIN}),
    "the stage": ({"AccessLogs": "true"}, {"UseTracing": "true"}),
    "the version": ({"StartMode": "snapstart"}, {"UploadMemorySize": "4000"}),
    "the alias": ({"StartMode": "provisioned"}, {"UseCanary": "true"}),
    "the function": ({"MaxConcurrentUploads": "5"}, {"KeepOriginalsDays": "7"}),
    "the roles": ({"UseTracing": "true"}, {"KmsKeyArn": KEY}),
    "the buckets": ({"KmsKeyArn": KEY}, {"KeepOriginalsDays": "7", "AllowedOrigins": ORIGIN}),
    "the table": ({"KmsKeyArn": KEY}, {"ProtectTable": "true"}),
    "monitoring": ({"AlarmTopicArn": TOPIC}, {"CreateDashboard": "true"}),
    "edge": ({"UseWaf": "true"}, DOMAIN),
    "events": ({"PublishEvents": "true"}, {"KmsKeyArn": KEY, "AlarmTopicArn": TOPIC}),
    "keys": ({"ApiAuth": "API_KEY"}, {"ThrottlingRateLimit": "60"}),
}


@pytest.fixture(scope="module")
def deployed(aws: str) -> Iterator[Stack]:
    """A stack that begins with the defaults."""
    created = Stack(aws)
    created.deploy()
    yield created
    created.purge()


def test_every_parameter_is_changed_here() -> None:
    assert VALUES.keys() | NOT_EMULATED == set(template.raw()["Parameters"])
    assert all(parameter in values[0] for parameter, values in VALUES.items())


@pytest.mark.parametrize("parameter", VALUES)
def test_a_changed_parameter_reaches_what_it_names(deployed: Stack, parameter: str) -> None:
    for values in VALUES[parameter]:
        update(deployed, values)


@pytest.mark.parametrize("shared", PAIRS)
def test_two_parameters_that_share_a_resource_are_switched_on_and_off(deployed: Stack, shared: str) -> None:
    first, second = PAIRS[shared]
    for values in [first, first | second, second, {}]:
        update(deployed, values)


def update(stack: Stack, values: dict[str, str]) -> None:
    """Update the stack, and check that the deployed resources match the template for these values."""
    stack.deploy(values)
    described = template.read(values)
    parameters = {name: str(parameter["Default"]) for name, parameter in described["Parameters"].items()}
    resources = stack.resources()
    check_functions(described, parameters, resources)
    check_access(stack, parameters["ApiAuth"], parameters["Owners"])
    check_origins(stack, parameters["AllowedOrigins"], 403 if parameters["ApiAuth"] == "AWS_IAM" else 404)
    check_options(described, parameters, resources)


def check_functions(described: dict[str, Any], parameters: dict[str, str], resources: dict[str, str]) -> None:
    client = boto3.client("lambda")
    for name, properties in template.functions(described).items():
        deployed = client.get_function_configuration(FunctionName=resources[name])
        variables = deployed["Environment"]["Variables"]
        for variable, value in properties["Environment"]["Variables"].items():
            if isinstance(value, dict) and value.get("Ref") in parameters:
                assert variables.get(variable, "") == parameters[value["Ref"]], (name, variable)
        if isinstance(properties["MemorySize"], dict):
            assert deployed["MemorySize"] == int(parameters[properties["MemorySize"]["Ref"]])
        assert deployed["TracingConfig"]["Mode"] == properties["Tracing"]
        assert deployed["Architectures"] == [parameters["Architecture"]]
        assert variables["POWERTOOLS_LOG_LEVEL"] == parameters["LogLevel"]
    upload = resources["UploadImageFunction"]
    live, latest = (
        client.get_function_configuration(FunctionName=upload, Qualifier=qualifier) for qualifier in ("live", "$LATEST")
    )
    assert configuration(live) == configuration(latest)
    assert (live["SnapStart"]["ApplyOn"] == "PublishedVersions") == (parameters["StartMode"] == "snapstart")
    # The newest version, and the older ones are still there.
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=upload)
    versions = [each["Version"] for page in pages for each in page["Versions"]]
    assert live["Version"] == versions[-1]
    assert versions == ["$LATEST", *map(str, range(1, len(versions)))]


def configuration(function: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a version keeps of a function, without its names, times and states."""
    own = {"FunctionArn", "Version", "RevisionId", "LastModified", "ResponseMetadata", "Description", "SnapStart"}
    return {
        name: value for name, value in function.items() if name not in own and not re.match("State|LastUpdate", name)
    }


def check_access(stack: Stack, auth: str, owners: str) -> None:
    statistics = f"{stack.api_url}/api/stats"
    anonymous = requests.get(statistics, timeout=30)
    # With AWS_IAM, a request without a signature gets the response of a missing route.
    assert anonymous.status_code == {"NONE": 200, "API_KEY": 403, "AWS_IAM": 403, "JWT": 401}[auth], anonymous.text
    if auth != "NONE":
        assert anonymous.json()["current_status"] == "failure"
    if auth == "JWT":
        forged = requests.get(statistics, headers={"Authorization": "Bearer a.b.c"}, timeout=30)
        assert forged.status_code == 401
    if auth == "API_KEY":
        key = boto3.client("apigateway").get_api_key(apiKey=stack.outputs()["FirstApiKeyId"], includeValue=True)
        with_key = requests.get(statistics, headers={"x-api-key": key["value"]}, timeout=30)
        # The emulator tells the functions no key, so they cannot know whose images to show.
        assert with_key.status_code == (500 if owners == "caller" else 200)
    # The gallery knows which credentials the API needs.
    page = requests.get(f"{stack.api_url}/", timeout=30)
    assert f'data-api-auth="{auth}"' in page.text
    assert ("Your images only" in page.text) == (owners == "caller")


def check_origins(stack: Stack, origins: str, missing_status: int) -> None:
    missing = requests.get(f"{stack.api_url}/api/no-such-route", headers={"Origin": ORIGIN}, timeout=30)
    assert missing.status_code == missing_status
    assert missing.headers.get("Access-Control-Allow-Origin") == ("*" if origins else None)
    preflight = requests.options(f"{stack.api_url}/api/images", headers={"Origin": ORIGIN}, timeout=30)
    expected = ORIGIN if origins == "*" or ORIGIN in origins else None
    assert preflight.headers.get("Access-Control-Allow-Origin") == expected


def check_options(described: dict[str, Any], parameters: dict[str, str], resources: dict[str, str]) -> None:
    cloudformation = boto3.client("cloudformation")
    for name, resource in described["Resources"].items():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            (nested,) = cloudformation.describe_stacks(StackName=resources[name])["Stacks"]
            given = {each["ParameterKey"]: each["ParameterValue"] for each in nested["Parameters"]}
            for parameter, value in resource["Properties"]["Parameters"].items():
                if value.get("Ref") in parameters:
                    assert given[parameter] == parameters[value["Ref"]]
    mapping = described["Resources"]["FollowImagesFunction"]["Properties"]["Events"]["ImageGone"]["Properties"]
    assert mapping["ParallelizationFactor"] == {"Ref": "MaxConcurrentFollowers"}
    mappings = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    factors = [each["ParallelizationFactor"] for each in mappings if "ParallelizationFactor" in each]
    assert [int(factor) for factor in factors] == [int(parameters["MaxConcurrentFollowers"])]
    optional = {name for name, each in template.raw()["Resources"].items() if "Condition" in each}
    kinds = {name: each["Type"] for name, each in template.raw()["Resources"].items()}
    expected = {name for name in optional & set(described["Resources"]) if kinds[name] not in UNKNOWN_TYPES}
    assert expected == optional & set(resources)

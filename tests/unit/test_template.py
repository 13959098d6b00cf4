"""Checks the CloudFormation template that SAM generates from template.yaml, without a connection to AWS."""

import json
import os
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError
from cfnlint.api import ManualArgs, lint

from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.storage import claims, clients, file_store, keys, table, versions
from tests import callers
from tests.events import load_event
from tests.permissions import not_recording
from tests.pictures import scene_png
from tests.routes import FOLDERS, declared, logical_name
from tests.transformed import Resources, as_list, of_type, statements, transform
from tools import template
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

ROOT = Path(__file__).parent.parent.parent
FUNCTIONS = {f"{logical_name(folder)}Function" for folder in FOLDERS}
PAGES = ("/", "/docs", "/docs/{file}", "/openapi.json")
# The function of each method and path: the routes of the API, their preflight requests, and the pages.
ROUTES = {
    **{(method.lower(), each.route.path): each.function for each in declared() for method in each.methods},
    **{("options", each.route.path): "AnswerPreflightFunction" for each in declared()},
    **{(method, path): "ShowPageFunction" for path in PAGES for method in ("get", "head")},
}
# Variables that exist only for `sam local`. See template.yaml.
LOCAL_ONLY = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"}
# Variables that no code reads. VERSION_DESCRIPTION makes Lambda publish a new version.
UNREAD = LOCAL_ONLY | {"VERSION_DESCRIPTION"}
# The routes of these functions lead to an alias.
ALIASES = {"UploadImageFunction": "Aliaslive"}
# Functions that run in the container image.
IMAGES = {"UploadImageFunction", "ProcessUploadFunction"}


@pytest.fixture(scope="module")
def resources() -> Resources:
    return transform(template.raw())


@pytest.fixture(scope="module")
def functions(resources: Resources) -> Resources:
    return of_type(resources, "AWS::Lambda::Function")


def test_each_route_leads_to_its_function(resources: Resources, functions: Resources) -> None:
    assert set(functions) == FUNCTIONS
    (api,) = of_type(resources, "AWS::ApiGateway::RestApi").values()
    found = {
        (method, path): operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
        for path, methods in api["Properties"]["Body"]["paths"].items()
        for method, operation in methods.items()
    }
    assert set(found) == set(ROUTES)
    for route, function in ROUTES.items():
        target = f"{function}{ALIASES[function]}" if function in ALIASES else f"{function}.Arn"
        assert f"/functions/${{{target}}}/invocations" in found[route]


def test_api_gateway_may_invoke_a_function_by_its_own_routes_only(resources: Resources) -> None:
    granted = set()
    permissions = of_type(resources, "AWS::Lambda::Permission")
    assert permissions.pop("AuthorizePermission")["Properties"]["SourceArn"]["Fn::Sub"].endswith("${Api}/authorizers/*")
    for permission in permissions.values():
        properties = permission["Properties"]
        assert (properties["Action"], properties["Principal"]) == (
            "lambda:InvokeFunction",
            "apigateway.amazonaws.com",
        )
        _, _, route = properties["SourceArn"]["Fn::Sub"][0].partition("${__Stage__}/")
        granted.add((properties["FunctionName"]["Ref"], route))
    expected = set()
    for (method, path), function in ROUTES.items():
        expected.add((function + ALIASES.get(function, ""), f"{method.upper()}{re.sub('{[a-z_]+}', '*', path)}"))
    assert granted == expected


@pytest.mark.parametrize(
    ("auth", "scheme"), [("NONE", None), ("API_KEY", "ApiKey"), ("AWS_IAM", "Iam"), ("JWT", "Token")]
)
def test_all_routes_of_the_api_ask_clients_who_they_are_if_the_parameter_says_so(auth: str, scheme: str | None) -> None:
    (api,) = of_type(transform(template.read({"ApiAuth": auth})), "AWS::ApiGateway::RestApi").values()
    body = api["Properties"]["Body"]
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            is_protected = scheme and path.startswith("/api/") and method != "options"
            assert operation.get("security") == ([{scheme: []}] if is_protected else None), (method, path)
    assert ("Token" in body["components"]["securitySchemes"]) == (auth == "JWT")


TOPIC: dict[str, object] = {"AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms"}
OPTIONS: dict[str, tuple[dict[str, object], set[str]]] = {
    "API keys": ({"ApiAuth": "API_KEY"}, {"UsagePlan", "FirstApiKey", "FirstApiKeyPlan"}),
    "signatures": ({"ApiAuth": "AWS_IAM"}, set()),
    "tokens": (
        {"ApiAuth": "JWT"},
        {"AuthorizeFunction", "AuthorizeRole", "AuthorizeLogs", "AuthorizePermission"},
    ),
    "a budget": ({"MonthlyBudget": 100} | TOPIC, {"BudgetStack", "Monitoring"}),
    "a firewall": ({"UseWaf": "true"}, {"Edge"}),
    "a domain": ({"DomainName": "images.example.com", "CertificateArn": "arn:aws:acm:x"}, {"Edge"}),
    "events": ({"PublishEvents": "true"}, {"Events"}),
    "a dashboard": ({"CreateDashboard": "true"}, {"Monitoring"}),
    "snapshots": ({"StartMode": "snapstart"}, set()),
    "provisioned": ({"StartMode": "provisioned"}, set()),
    "provisioned at times": (
        {
            "StartMode": "provisioned",
            "ProvisionedFrom": "cron(0 7 ? * MON-FRI *)",
            "ProvisionedUntil": "cron(0 19 ? * MON-FRI *)",
        },
        {"ProvisionedSchedule"},
    ),
    "canaries": (
        {"UseCanary": "true"},
        {
            "CanaryRole",
            "ServerlessDeploymentApplication",
            "UploadImageFunctionDeploymentGroup",
            "VersionErrorsAlarm",
            "VersionFaultsAlarm",
        },
    ),
    "access logs": ({"AccessLogs": "true"}, {"AccessLogGroup"}),
    "traces": ({"UseTracing": "true"}, set()),
    "a key": ({"KmsKeyArn": "arn:aws:kms:x"}, set()),
    "a protected table": ({"ProtectTable": "true"}, set()),
    "few uploads at once": ({"MaxConcurrentUploads": 5}, set()),
}


def created(parameters: dict[str, object]) -> set[str]:
    """Return the names of the resources, without those whose name contains a digest."""
    resources = transform(template.read(parameters))
    return {
        name
        for name, resource in resources.items()
        if resource["Type"] not in {"AWS::ApiGateway::Deployment", "AWS::Lambda::Version"}
    }


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_creates_only_what_it_needs(option: str) -> None:
    parameters, added = OPTIONS[option]
    without, with_option = created({}), created(parameters)
    assert with_option - without == added
    assert without <= with_option


@pytest.mark.parametrize(
    "chosen", [{"ApiAuth": "API_KEY"}, {"ApiAuth": "JWT", "StartMode": "snapstart", "ProvisionedFrom": ""}], ids=str
)
def test_all_options_work_together(chosen: dict[str, object]) -> None:
    parameters: dict[str, object] = {}
    for option, _ in OPTIONS.values():
        parameters |= option
    parameters |= {"StartMode": "provisioned"} | chosen
    assert created(parameters) > created({})
    described = template.read(parameters)
    deployed = {"Parameters": described["Parameters"], "Resources": transform(described)}
    # CloudFormation's limit.
    assert len(deployed["Resources"]) <= 500
    found = lint(json.dumps(deployed), config=ManualArgs(regions=["us-east-1"]))
    errors = [match for match in found if match.rule.severity == "error"]
    assert not errors


def test_the_firewall_reads_neither_photographs_nor_searches_as_attacks() -> None:
    acl = template.read_option("edge", {"UseWaf": "true"})["Resources"]["WebAcl"]["Properties"]
    (common,) = (rule for rule in acl["Rules"] if rule["Name"] == "common")
    overridden = common["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    assert all(rule["ActionToUse"] == {"Count": {}} for rule in overridden)
    # The rules of the group that look at the body or the query, and the rule for clients without a name.
    assert {rule["Name"] for rule in overridden} == {
        "SizeRestrictions_BODY",
        "CrossSiteScripting_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "EC2MetaDataSSRF_BODY",
        "SizeRestrictions_QUERYSTRING",
        "CrossSiteScripting_QUERYARGUMENTS",
        "GenericLFI_QUERYARGUMENTS",
        "GenericRFI_QUERYARGUMENTS",
        "EC2MetaDataSSRF_QUERYARGUMENTS",
        "RestrictedExtensions_QUERYARGUMENTS",
        "NoUserAgent_HEADER",
    }


@pytest.mark.parametrize("origins", ["", "https://app.example"])
def test_the_firewall_returns_errors_as_the_api_does(origins: str) -> None:
    parameters = {"UseWaf": "true", "AllowedOrigins": origins}
    acl = template.read_option("edge", parameters)["Resources"]["WebAcl"]["Properties"]
    (rate,) = (rule for rule in acl["Rules"] if rule["Name"] == "rate")
    response = rate["Action"]["Block"]["CustomResponse"]
    headers = {header["Name"]: header["Value"] for header in response["ResponseHeaders"]}
    assert response["ResponseCode"] == 429
    # AWS WAF counts the requests of the last 5 minutes.
    assert headers.pop("Retry-After") == "300"
    assert (headers.pop("Cache-Control"), headers.pop("X-Content-Type-Options")) == ("no-store", "nosniff")
    shared = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
    assert headers == (shared if origins else {})
    body = acl["CustomResponseBodies"][response["CustomResponseBodyKey"]]
    assert body["ContentType"] == "APPLICATION_JSON"
    assert list(json.loads(body["Content"])) == ["current_status", "error"]
    # A request that another rule refuses gets this response of API Gateway.
    assert "WAF_FILTERED" in gateway_responses()


def test_old_urls_of_thumbnails_are_refused() -> None:
    described = template.read()
    (statement,) = (
        statement
        for statement in described["Resources"]["ThumbnailsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if statement["Sid"] == "NoOldUrls"
    )
    longest = described["Parameters"]["UrlExpirySeconds"]["MaxValue"]
    assert statement["Condition"] == {"NumericGreaterThan": {"s3:signatureAge": longest * 1000}}


@pytest.mark.parametrize(
    ("mode", "snapshots", "provisioned"),
    [
        ("on-demand", "None", None),
        ("snapstart", "PublishedVersions", None),
        ("provisioned", "None", {"ProvisionedConcurrentExecutions": {"Ref": "ProvisionedEnvironments"}}),
    ],
)
def test_the_start_mode_belongs_to_the_upload_function(
    mode: str, snapshots: str, provisioned: dict[str, Any] | None
) -> None:
    resources = transform(template.read({"StartMode": mode}))
    assert resources["UploadImageFunction"]["Properties"]["SnapStart"] == {"ApplyOn": snapshots}
    (alias,) = of_type(resources, "AWS::Lambda::Alias").values()
    assert alias["Properties"].get("ProvisionedConcurrencyConfig") == provisioned


def test_the_defaults_create_nothing_that_costs_money_while_it_is_idle() -> None:
    resources = transform(template.read())
    # The authorizer is only there with ApiAuth=JWT.
    functions = len(FUNCTIONS - {"AuthorizeFunction"})
    assert Counter(resource["Type"].removeprefix("AWS::") for resource in resources.values()) == {
        "ApiGateway::Deployment": 1,
        "ApiGateway::RestApi": 1,
        "ApiGateway::Stage": 1,
        "DynamoDB::Table": 1,
        "IAM::Role": functions,
        "Lambda::Alias": 1,
        "Lambda::EventSourceMapping": 3,  # asking the two queues costs half a dollar a month: docs/costs.md
        "Lambda::Function": functions,
        "Lambda::LayerVersion": 1,
        "Lambda::Permission": len(ROUTES),
        "Lambda::Version": 1,
        "Logs::LogGroup": functions,
        "S3::Bucket": 2,
        "S3::BucketPolicy": 2,
        "SQS::Queue": 5,
        "SQS::QueuePolicy": 1,
    }
    assert resources["ImagesTable"]["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
    for function in of_type(resources, "AWS::Lambda::Function").values():
        assert "ReservedConcurrentExecutions" not in function["Properties"]
    for alias in of_type(resources, "AWS::Lambda::Alias").values():
        assert "ProvisionedConcurrencyConfig" not in alias["Properties"]


def test_a_canary_is_rolled_back_by_alarms_that_ring_within_minutes() -> None:
    resources = transform(template.read({"UseCanary": "true", "CanaryType": "Linear10PercentEvery1Minute"}))
    group = resources["UploadImageFunctionDeploymentGroup"]["Properties"]
    assert group["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": "Linear10PercentEvery1Minute"}
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    assert group["ServiceRoleArn"] == {"Fn::GetAtt": ["CanaryRole", "Arn"]}
    alarms = [resources[alarm["Name"]["Ref"]]["Properties"] for alarm in group["AlarmConfiguration"]["Alarms"]]
    assert len(alarms) == 2
    for alarm in alarms:
        # Each version has its own alarms.
        assert "${Version}" in alarm["AlarmName"]["Fn::Sub"][0]
        assert {dimension["Name"] for dimension in alarm["Dimensions"]} & {"ExecutedVersion", "version"}
        assert alarm["Period"] * alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]) <= 180
    (alias,) = of_type(resources, "AWS::Lambda::Alias").values()
    assert "CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"]


def test_provisioned_environments_end_at_the_given_time() -> None:
    schedule = template.read(OPTIONS["provisioned at times"][0])["Resources"]["ProvisionedSchedule"]["Properties"]
    start, end = schedule["ScheduledActions"]
    ready = {"Ref": "ProvisionedEnvironments"}
    assert start["ScalableTargetAction"] == {"MinCapacity": ready, "MaxCapacity": ready}
    assert end["ScalableTargetAction"] == {"MinCapacity": 0, "MaxCapacity": 0}


def test_access_logs_tell_nothing_about_the_client() -> None:
    setting = template.read({"AccessLogs": "true"})["Resources"]["Api"]["Properties"]["AccessLogSetting"]
    variables = set(re.findall(r"\$context\.([\w.]+)", setting["Format"]))
    assert {"requestId", "resourcePath", "status", "responseLatency"} <= variables
    assert not {name for name in variables if name == "path" or name.startswith("identity.")}
    json.loads(setting["Format"])


def policies(parameters: dict[str, object]) -> dict[str, set[str]]:
    """Return the names of the policies of each role of a function."""
    resources = transform(template.read(parameters))
    return {
        function["Properties"]["Role"]["Fn::GetAtt"][0]: {
            policy["PolicyName"]
            for policy in resources[function["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]["Policies"]
        }
        for function in of_type(resources, "AWS::Lambda::Function").values()
    }


def test_traces_are_allowed_to_every_function() -> None:
    with_traces = policies({"UseTracing": "true", "ApiAuth": "JWT"})
    assert not [role for role, names in with_traces.items() if "write-traces" not in names]
    resources = transform(template.read({"UseTracing": "true"}))
    functions = of_type(resources, "AWS::Lambda::Function").values()
    assert all(function["Properties"]["TracingConfig"] == {"Mode": "Active"} for function in functions)


@pytest.mark.parametrize("parameter", ["KmsKeyArn", "FormerKmsKeyArns"])
def test_the_keys_may_be_used_by_each_function_that_touches_the_stored_data(parameter: str) -> None:
    resources = transform(template.read({parameter: "arn:aws:kms:x"}))
    stored = {"ImagesTable", "ThumbnailsBucket", "UploadsBucket"}
    for role, names in policies({parameter: "arn:aws:kms:x", "ApiAuth": "JWT"}).items():
        is_touching = any(
            re.search(rf"\b{store}\b", str(resource))
            for statement in statements(resources.get(role, {"Properties": {"Policies": []}}))
            for resource in as_list(statement["Resource"])
            for store in stored
        )
        assert (len(names & {"use-keys", "read-with-keys"}) == 1) == is_touching, role
    (policy,) = (
        policy for policy in resources["GetImageRole"]["Properties"]["Policies"] if policy["PolicyName"] == "use-keys"
    )
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Resource"] == {"Ref": parameter}


def test_only_functions_that_write_may_encrypt() -> None:
    resources = transform(template.read({"KmsKeyArn": "arn:aws:kms:x"}))
    reading = {role for role, names in policies({"KmsKeyArn": "arn:aws:kms:x"}).items() if "read-with-keys" in names}
    assert reading == {"ListImagesRole", "CheckImagesRole", "GetThumbnailRole", "GetStatsRole"}
    for role in reading:
        actions = {
            action
            for statement in statements(resources[role])
            for action in as_list(statement["Action"])
            if action.startswith(("dynamodb:", "s3:", "kms:"))
        }
        assert all(re.match(r"dynamodb:(BatchGet|Get|Query)|s3:Get|kms:(Decrypt|Describe)", name) for name in actions)


def test_the_key_encrypts_the_table_and_the_buckets() -> None:
    resources = template.read({"KmsKeyArn": "arn:aws:kms:x"})["Resources"]
    key = {"Ref": "KmsKeyArn"}
    assert resources["ImagesTable"]["Properties"]["SSESpecification"]["KMSMasterKeyId"] == key
    for bucket in ("ThumbnailsBucket", "UploadsBucket"):
        (rule,) = resources[bucket]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        default = rule["ServerSideEncryptionByDefault"]
        assert (default["SSEAlgorithm"], default["KMSMasterKeyID"]) == ("aws:kms", key)


def test_uploads_and_checks_have_a_lower_limit_than_other_requests(resources: Resources) -> None:
    (stage,) = of_type(resources, "AWS::ApiGateway::Stage").values()
    everything, forms, direct, checks, _ = stage["Properties"]["MethodSettings"]
    assert (everything["ResourcePath"], everything["HttpMethod"]) == ("/*", "*")
    # API Gateway requires ~1 for each slash after the first.
    assert (forms["ResourcePath"], forms["HttpMethod"]) == ("/~1api~1images", "POST")
    assert (direct["ResourcePath"], direct["HttpMethod"]) == ("/~1api~1uploads", "POST")
    assert (checks["ResourcePath"], checks["HttpMethod"]) == ("/~1api~1images~1check", "POST")
    for setting in (forms, direct, checks):
        assert setting["ThrottlingRateLimit"] == {"Ref": "UploadRateLimit"}
    # The client of an archive asks about all of its images at once.
    assert checks["ThrottlingBurstLimit"] == everything["ThrottlingBurstLimit"]
    parameters = template.raw()["Parameters"]
    assert parameters["UploadRateLimit"]["Default"] < parameters["ThrottlingRateLimit"]["Default"]


def test_no_gateway_response_is_declared_that_api_gateway_ignores() -> None:
    # According to AWS, this gateway response cannot be customised.
    assert "REQUEST_TOO_LARGE" not in gateway_responses()


def gateway_responses() -> dict[str, Any]:
    document = template.read()["Resources"]["Api"]["Properties"]["DefinitionBody"]
    found: dict[str, Any] = document["x-amazon-apigateway-gateway-responses"]
    return found


def test_every_function_has_a_role_of_its_own_and_no_managed_policy(resources: Resources, functions: Resources) -> None:
    roles = [function["Properties"]["Role"]["Fn::GetAtt"][0] for function in functions.values()]
    assert len(set(roles)) == len(functions)
    assert {*roles, "CanaryRole"} == set(of_type(resources, "AWS::IAM::Role"))
    for role in roles:
        assert "ManagedPolicyArns" not in resources[role]["Properties"]
        (trust,) = resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_no_action_and_no_resource_is_a_wildcard(resources: Resources) -> None:
    roles = of_type(resources, "AWS::IAM::Role")
    # CloudWatch needs the permission for all alarms, even if the call names only some.
    shift, check, read = statements(roles.pop("CanaryRole"))
    assert (check["Action"], check["Resource"]) == (
        "lambda:InvokeFunction",
        {"Fn::GetAtt": ["CheckVersionFunction", "Arn"]},
    )
    assert {resource.get("Fn::Sub", "${UploadImageFunction.Arn}:*") for resource in shift["Resource"]} == {
        "${UploadImageFunction.Arn}:*"
    }
    assert read["Action"] == "cloudwatch:DescribeAlarms"
    for role in roles.values():
        for statement in statements(role):
            assert statement["Effect"] == "Allow"
            assert not [action for action in as_list(statement["Action"]) if "*" in action]
            for resource in as_list(statement["Resource"]):
                if statement["Sid"] == "TellCodeDeploy":  # its deployment group cannot be named
                    assert resource["Fn::Sub"].endswith(":deploymentgroup:${AWS::StackName}-*/*")
                    continue
                # A reference to a resource of this stack, or to a path below it.
                reference = resource.get("Fn::GetAtt") or resource["Fn::Sub"].removeprefix("${").split(".Arn}")
                assert reference[0] in resources
                assert reference[1] in {
                    "Arn",
                    ":*",
                    "/index/listing",
                    "/stream/*",
                    "/*/thumbnails/*",
                    "/uploads/*",
                    "/originals/*",
                }


def test_a_function_writes_only_to_its_own_log_group_with_a_retention_time(
    resources: Resources, functions: Resources
) -> None:
    groups = set()
    for function in functions.values():
        group = function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
        groups.add(group)
        assert resources[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        role = resources[function["Properties"]["Role"]["Fn::GetAtt"][0]]
        (logs,) = (statement for statement in statements(role) if statement["Sid"] == "WriteLogs")
        assert logs["Resource"] == {"Fn::GetAtt": [group, "Arn"]}
    assert len(groups) == len(functions)


def test_two_functions_are_images_and_the_others_use_the_layer(functions: Resources) -> None:
    for name in IMAGES:
        image = functions[name]["Properties"]
        assert image["PackageType"] == "Image"
        assert not {"Runtime", "Handler", "Layers"} & set(image)
    for function in (function for name, function in functions.items() if name not in IMAGES):
        (layer,) = function["Properties"]["Layers"]
        assert layer["Ref"].startswith("PipelineLayer")
        assert function["Properties"]["Runtime"] == "python3.13"


@pytest.mark.parametrize("name", ["ThumbnailsBucket", "UploadsBucket"])
def test_buckets_and_table_outlive_the_stack_and_the_buckets_are_private(resources: Resources, name: str) -> None:
    bucket, table = resources[name], resources["ImagesTable"]
    assert bucket["DeletionPolicy"] == table["DeletionPolicy"] == "RetainExceptOnCreate"
    # An option that is left out is off, so all four must be there.
    assert bucket["Properties"]["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert bucket["Properties"]["BucketEncryption"]


# The events with which these functions read all their variables. Other functions use the event named like their
# folder.
EVENT_NAMES = {
    "upload_image": "upload_image_png",
    "list_images": "list_images_page",
    "get_thumbnail": "get_thumbnail_small",
    "follow_images": "follow_images_removed",
}
QUERIES = {
    "list_images": {"details": "caption"},
    "check_images": {"details": "caption"},
    "get_image": {"details": "download", "wait": "1"},
}


LIMITED = {"upload_image", "create_upload"}
# Bodies that ask for a known file.
KNOWN_FILES: dict[str, list[dict[str, Any]]] = {
    "CheckImagesFunction": [{"sha256": [sample_image().sha256]}],
    "CreateUploadFunction": [{"content_type": "", "sha256": sample_image().sha256}],
}


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != "authorize"])
def test_a_function_is_given_the_variables_that_it_reads_and_no_others(
    functions: Resources, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    function = f"{logical_name(folder)}Function"
    handler = template.handler(template.functions(template.read())[function])
    monkeypatch.setenv("DUPLICATES", "find")
    for minutes in range(1, 4):  # enough for a second page
        store_sample(sample_image(minutes=minutes))
    if function == "ProcessUploadFunction":
        claims.request(callers.owner("me"), IMAGE_ID, "scene.png")
        key = keys.uploaded_file(IMAGE_ID)
        clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=key, Body=scene_png())
    elif function == "GetImageFunction":  # its image is finished while the request waits
        store_sample(sample_image(IMAGE_ID))
        clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.original(IMAGE_ID), Body=scene_png())
        finished = table.find(keys.image(IMAGE_ID)) or {}
        table.put({**finished, "status": "requested"})
        monkeypatch.setattr(time, "sleep", lambda _: put_unrecorded(finished))
    elif function != "FollowImagesFunction":  # its image is gone
        store_sample(sample_image(IMAGE_ID))
    monkeypatch.setenv("KEEP_ORIGINALS_DAYS", "7")
    if function == "FollowImagesFunction":
        refused = ClientError({"Error": {"Code": "SlowDown"}}, "DeleteObject")
        monkeypatch.setattr(clients.s3(), "delete_object", Mock(side_effect=refused))
    monkeypatch.setenv("UPLOAD_VERSION_ARN", "arn:aws:lambda:us-east-1:123456789012:function:UploadImageFunction:7")
    monkeypatch.setattr(versions, "invoke", lambda *_: {})
    # check_version deletes the image of its upload.
    monkeypatch.setattr(claims, "image_of", lambda *_: IMAGE_ID)
    read: set[str] = set()

    def recorded(name: str) -> str:
        read.add(name)
        # The assertion below names a variable that the template lacks.
        return os.environ.get(name, "1")

    for reader in ("_text", "_optional"):
        monkeypatch.setattr(settings, reader, recorded)
    event = load_event(EVENT_NAMES.get(folder, folder))
    event["queryStringParameters"] = (event.get("queryStringParameters") or {}) | QUERIES.get(folder, {})
    if function == "ProcessUploadFunction":  # its first attempt fails
        with monkeypatch.context() as patched:
            patched.setattr(file_store, "get", Mock(side_effect=StorageError))
            assert handler(event, LocalContext(function))["batchItemFailures"]
    # A function that knows owners reads their limits.
    response = handler(callers.sent_by("me", event) if folder in LIMITED else event, LocalContext(function))
    for body in KNOWN_FILES.get(function, []):
        assert handler(event | {"body": json.dumps(body)}, LocalContext(function))["statusCode"] == 200
    given = set(functions[function]["Properties"]["Environment"]["Variables"]) - UNREAD
    needed = {name for name in given if not name.startswith("POWERTOOLS_")}
    assert needed == read, f"template.yaml: {function}: add {sorted(read - needed)}, remove {sorted(needed - read)}"
    assert response.get("statusCode", 200) in {200, 201, 204}
    assert not response.get("batchItemFailures")


def put_unrecorded(item: table.Item) -> None:
    with not_recording():
        table.put(item)


def test_only_settings_reads_variables_except_those_that_lambda_sets() -> None:
    lines = [
        line.strip()
        for folder in ("functions", "layers")
        for source in (ROOT / folder).rglob("image_*/**/*.py" if folder == "layers" else "*.py")
        if source.name != "settings.py"
        for line in source.read_text().splitlines()
        if re.search(r"\b(environ|getenv)\b", line)
    ]
    # Some lines only set a variable for a library. They read nothing.
    reads = [line for line in lines if not re.match(r'os\.environ\["\w+"\] = ', line)]
    assert reads
    assert all('"AWS_LAMBDA_' in line for line in reads)


def test_the_addresses_for_sam_local_do_not_exist_in_a_deployed_function(functions: Resources) -> None:
    for function in functions.values():
        variables = function["Properties"]["Environment"]["Variables"]
        assert all(variables[name] == {"Ref": "AWS::NoValue"} for name in LOCAL_ONLY)


def test_powertools_gets_a_namespace_where_metrics_are_written(functions: Resources) -> None:
    for name, function in functions.items():
        variables = set(function["Properties"]["Environment"]["Variables"])
        assert {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL"} <= variables
        assert ("POWERTOOLS_METRICS_NAMESPACE" in variables) == (name in IMAGES)


def test_the_upload_function_may_run_as_long_as_the_gateway_waits(functions: Resources) -> None:
    # The lease of a claim depends on this. An attempt must have ended before another attempt takes over its claim.
    assert functions["UploadImageFunction"]["Properties"]["Timeout"] == {"Ref": "GatewayTimeoutSeconds"}


def test_the_statistics_function_reads_nothing_but_the_shards(resources: Resources) -> None:
    (read,) = (statement for statement in statements(resources["GetStatsRole"]) if statement["Sid"] == "ReadStatistics")
    assert read["Action"] == "dynamodb:BatchGetItem"
    assert read["Condition"]["ForAllValues:StringLike"] == {"dynamodb:LeadingKeys": ["STATS#*"]}


def test_layer_and_image_install_only_locked_packages() -> None:
    assert template.raw()["Resources"]["PipelineLayer"]["Properties"]["ContentUri"] == "layers/pipeline/"
    makefile = (ROOT / "layers" / "pipeline" / "Makefile").read_text()
    dockerfile = (ROOT / "functions" / "upload_image" / "Dockerfile").read_text()
    for text in (makefile, dockerfile):
        assert "--no-deps --require-hashes" in text
    for name in ("pipeline", "processing"):
        assert f"COPY layers/{name}/requirements.txt /tmp/{name}.txt" in dockerfile
    locked = locked_requirements("pipeline") + locked_requirements("processing")
    assert len(set(locked)) == len(locked)
    # Only the tools that make and check the model need these packages.
    assert not [name for name in locked if re.match("nvidia|torch|transformers|triton|huggingface", name)]


@pytest.mark.parametrize("layer", ["pipeline", "processing"])
def test_every_direct_requirement_is_locked_with_hashes(layer: str) -> None:
    lock = (ROOT / "layers" / layer / "requirements.txt").read_text()
    for requirement in (ROOT / "layers" / layer / "requirements.in").read_text().split():
        assert f"{requirement} \\\n    --hash=sha256:" in lock


def locked_requirements(layer: str) -> list[str]:
    lines = (ROOT / "layers" / layer / "requirements.txt").read_text().splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line]

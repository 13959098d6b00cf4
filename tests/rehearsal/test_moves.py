"""The update of a stack from before options/, as CHANGELOG.md describes it: named resources move into nested stacks."""

import boto3
import pytest

from tests.rehearsal.stack import DeploymentError, Stack
from tools.template import Template

CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/x"
ON = {"PublishEvents": "true", "DomainName": "images.example.com", "CertificateArn": CERTIFICATE}


def before(described: Template) -> None:
    """Put the named resources back into template.yaml itself, where they were before."""
    resources = described["Resources"]
    for nested in ("Events", "Edge"):
        del resources[nested]
    resources["EventBus"] = {
        "Type": "AWS::Events::EventBus",
        "Condition": "PublishEvents",
        "Properties": {"Name": {"Ref": "AWS::StackName"}},
    }
    resources["Domain"] = {
        "Type": "AWS::ApiGateway::DomainName",
        "Condition": "HasDomain",
        "Properties": {
            "DomainName": {"Ref": "DomainName"},
            "RegionalCertificateArn": {"Ref": "CertificateArn"},
            "EndpointConfiguration": {"Types": ["REGIONAL"]},
        },
    }
    described["Outputs"]["DomainTarget"]["Value"] = {"Fn::GetAtt": ["Domain", "RegionalDomainName"]}


def test_events_that_stay_on_make_the_update_fail(stack: Stack) -> None:
    # The emulator does not refuse a second domain with the same name, as AWS does.
    stack.deploy({"PublishEvents": "true"}, change=before)
    with pytest.raises(DeploymentError, match="already exist"):
        stack.deploy({"PublishEvents": "true"})


def test_options_that_are_off_during_the_update_can_be_switched_on_again(stack: Stack) -> None:
    stack.deploy(ON, change=before)
    table = stack.resources()["ImagesTable"]
    stack.deploy({"CertificateArn": CERTIFICATE}, change=before)
    stack.deploy({"CertificateArn": CERTIFICATE})
    stack.deploy(ON)
    assert stack.resources()["ImagesTable"] == table
    assert boto3.client("events").describe_event_bus(Name="image-pipeline")["Arn"]
    domain = boto3.client("apigateway").get_domain_name(domainName="images.example.com")
    assert stack.outputs()["DomainTarget"] == domain["regionalDomainName"]

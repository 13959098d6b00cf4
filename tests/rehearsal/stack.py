"""A stack in the emulator: packs the functions, transforms template.yaml as AWS does, and creates or updates the stack.

What is changed for the emulator stands in `adapted` and `completed`, with the reason.
"""

import hashlib
import io
import json
import os
import subprocess
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from tools import emulator, template

NAME = "image-pipeline"
MODEL = emulator.ROOT / "tools" / "demo_model" / "model"
ARTIFACTS = "artifacts"
LAYER_FILE = "LAYER_FILE"
# The emulator does not know these types. tests/unit/test_template.py checks the resources of these types.
UNKNOWN_TYPES = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::Budgets::Budget",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::WAFv2::WebACLAssociation",
}
_SECONDS = 60

Change = Callable[[template.Template], None]


class DeploymentError(Exception):
    """CloudFormation did not create or update the stack. The message has the reasons of all resources that failed."""


@dataclass(frozen=True)
class Stack:
    """A deployed stack. `url` is the address of the emulator."""

    url: str

    def deploy(
        self, parameters: Mapping[str, str] | None = None, *, model: Path = MODEL, change: Change | None = None
    ) -> None:
        """Create or update the stack with these parameters and the defaults of all others.

        `change` is applied to template.yaml first. Raises DeploymentError.
        """
        described, values = transformed(self.url, parameters or {}, model, change)
        cloudformation = boto3.client("cloudformation")
        operation = cloudformation.update_stack if self.exists() else cloudformation.create_stack
        operation(
            StackName=NAME,
            # A body of this size must come from S3.
            TemplateURL=f"{self.url}/{ARTIFACTS}/{upload(json.dumps(described).encode(), 'json')}",
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        status = self._finished()
        if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            events = cloudformation.describe_stack_events(StackName=NAME)["StackEvents"]
            reasons = [
                f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
                for event in events
                if event["ResourceStatus"].endswith("_FAILED")
            ]
            raise DeploymentError(f"{status}: {'; '.join(reasons)}")

    def exists(self) -> bool:
        stacks = boto3.client("cloudformation").list_stacks()["StackSummaries"]
        return any(stack["StackName"] == NAME and stack["StackStatus"] != "DELETE_COMPLETE" for stack in stacks)

    def delete(self) -> None:
        """Delete the stack. Its table and its buckets stay, as on AWS."""
        boto3.client("cloudformation").delete_stack(StackName=NAME)
        deadline = time.monotonic() + _SECONDS
        while self.exists() and time.monotonic() < deadline:
            time.sleep(0.05)

    def purge(self) -> None:
        """Delete the stack, if there is one, with its table and its buckets."""
        if not self.exists():
            return
        resources = self.resources()
        self.delete()
        for name in {"ThumbnailsBucket", "UploadsBucket"} & set(resources):
            bucket = boto3.resource("s3").Bucket(resources[name])
            bucket.objects.all().delete()
            bucket.delete()
        if "ImagesTable" in resources:
            boto3.client("dynamodb").delete_table(TableName=resources["ImagesTable"])

    def _finished(self) -> str:
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            (stack,) = boto3.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
            status: str = stack["StackStatus"]
            if not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(0.05)
        raise DeploymentError("the stack is still in progress")

    def outputs(self) -> dict[str, str]:
        (stack,) = boto3.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def resources(self) -> dict[str, str]:
        """Return the physical id of each resource by its logical id."""
        found = boto3.client("cloudformation").describe_stack_resources(StackName=NAME)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}

    @property
    def api_id(self) -> str:
        return self.resources()["Api"]

    @property
    def api_url(self) -> str:
        """The base URL of the API. The emulator serves it by a path; on AWS it is the output ApiUrl."""
        return f"{self.url}/_aws/execute-api/{self.api_id}/prod"


def transformed(
    url: str, parameters: Mapping[str, str], model: Path = MODEL, change: Change | None = None
) -> tuple[template.Template, dict[str, str]]:
    """Return template.yaml after SAM's transform, adapted to the emulator, and the value of each parameter.

    Its functions and its nested templates are uploaded to the emulator. `change` is applied to template.yaml first.
    """
    described = template.raw()
    if change:
        change(described)
    adapted(described, url, model)
    result = Translator({}, Parser(), boto_session=boto3.Session()).translate(described, dict(parameters))
    values = {name: str(parameters.get(name, parameter["Default"])) for name, parameter in result["Parameters"].items()}
    completed(result, values)
    return result, values


def adapted(described: template.Template, url: str, model: Path) -> None:
    """Change the template as `sam build` and `sam package` do, and where the emulator differs from AWS.

    Functions that are images become zip functions, because images need Docker. Their packages are in the Python of
    the emulator. Presigned URLs lead to the emulator.
    """
    for resource in described["Resources"].values():
        properties = resource["Properties"]
        match resource["Type"]:
            case "AWS::Serverless::LayerVersion":
                properties["ContentUri"] = {"Bucket": ARTIFACTS, "Key": upload(layer())}
            case "AWS::Serverless::Function" if properties.get("PackageType") == "Image":
                resource["Metadata"] = {}
                resource["IgnoreGlobals"] = ["Layers", "Handler"]
                (properties["Handler"],) = properties.pop("ImageConfig")["Command"]
                properties |= {"PackageType": "Zip", "CodeUri": {"Bucket": ARTIFACTS, "Key": upload(_image(model))}}
                properties["Environment"]["Variables"]["MODEL_PATH"] = str(model)
            case "AWS::Serverless::Function":
                code = upload(_zipped({"": emulator.ROOT / properties["CodeUri"]}))
                properties["CodeUri"] = {"Bucket": ARTIFACTS, "Key": code}
            case "AWS::CloudFormation::Stack":
                nested = template.raw(emulator.ROOT / properties["TemplateURL"])
                _leave_out_unknown_types(nested)
                properties["TemplateURL"] = f"{url}/{ARTIFACTS}/{upload(json.dumps(nested).encode(), 'json')}"
        variables = properties.get("Environment", {}).get("Variables", {})
        for name, bucket in (("THUMBNAILS_URL", "ThumbnailsBucket"), ("UPLOADS_URL", "UploadsBucket")):
            if name in variables:
                variables[name] = {"Fn::Sub": f"{url}/${{{bucket}}}"}


def completed(transformed: template.Template, values: Mapping[str, str]) -> None:
    """Add settings that the emulator does not read from the body of an API, and remove unknown ones.

    `values` has the value of each parameter.
    """
    resources = transformed["Resources"]
    for resource in resources.values():
        if scaling := resource["Properties"].get("ScalingConfig"):
            # The emulator compares it with a number, and the value of a parameter is a text.
            scaling["MaximumConcurrency"] = int(values[scaling["MaximumConcurrency"]["Ref"]])
    body = resources["Api"]["Properties"]["Body"]
    resources["Api"]["Properties"]["BinaryMediaTypes"] = body["x-amazon-apigateway-binary-media-types"]
    (deployment,) = (each for each in resources.values() if each["Type"] == "AWS::ApiGateway::Deployment")
    for kind, described in body["x-amazon-apigateway-gateway-responses"].items():
        properties = {
            "RestApiId": {"Ref": "Api"},
            "ResponseType": kind,
            "ResponseParameters": described.get("responseParameters", {}),
            "ResponseTemplates": described.get("responseTemplates", {}),
        }
        if "statusCode" in described:
            properties["StatusCode"] = described["statusCode"]
        name = f"GatewayResponse{kind.replace('_', '')}"
        resources[name] = {"Type": "AWS::ApiGateway::GatewayResponse", "Properties": properties}
        deployment.setdefault("DependsOn", []).append(name)
    _leave_out_unknown_types(transformed)


def _leave_out_unknown_types(described: template.Template) -> None:
    resources = described["Resources"]
    for name in [name for name, resource in resources.items() if resource["Type"] in UNKNOWN_TYPES]:
        del resources[name]


def upload(content: bytes, kind: str = "zip") -> str:
    """Store a file for CloudFormation, and return its key: a digest of the content, as with `sam package`."""
    key = f"{hashlib.sha256(content).hexdigest()[:32]}.{kind}"
    boto3.client("s3").put_object(Bucket=ARTIFACTS, Key=key, Body=content)
    return key


def _image(model: Path) -> bytes:
    """Return the code of the functions that are images. As another model makes another image, it has model.json."""
    root = emulator.ROOT
    return _zipped(
        {
            "functions/upload_image/": root / "functions" / "upload_image",
            "functions/process_upload/": root / "functions" / "process_upload",
            "image_pipeline/": root / "layers" / "pipeline" / "image_pipeline",
            "image_processing/": root / "layers" / "processing" / "image_processing",
            "model/": model / "model.json",
        }
    )


@cache
def layer() -> bytes:
    """Return the layer, made by its own Makefile.

    A program that a test starts gets the layer that the test has made.
    """
    if made := os.environ.get(LAYER_FILE):
        return Path(made).read_bytes()
    with TemporaryDirectory() as folder:
        subprocess.run(
            ["make", "--silent", "-C", emulator.ROOT / "layers" / "pipeline", "build-PipelineLayer"],
            check=True,
            env=os.environ | {"ARTIFACTS_DIR": folder, "PATH": f"{emulator.PYTHON.parent}:{os.environ['PATH']}"},
        )
        return _zipped({"": Path(folder)})


def _zipped(parts: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for prefix, root in parts.items():
            for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
                if path.is_file() and (path.suffix != ".pyc" or prefix == ""):
                    # A fixed time, so that equal content has an equal digest.
                    entry = zipfile.ZipInfo(f"{prefix}{path.relative_to(root) if root.is_dir() else path.name}")
                    archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()

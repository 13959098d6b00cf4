"""S3 and DynamoDB in this process, by moto's server, with the bucket and the table of template.yaml."""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from socketserver import BaseServer
from typing import TYPE_CHECKING, Any

import boto3
import requests
from moto.core.model_instances import reset_model_data
from moto.moto_server import werkzeug_app
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import CorsRule, s3_backends
from moto.s3.utils import cors_matches_origin
from werkzeug.serving import make_server

from tools.local import moto_transactions
from tools.local.request_handler import RequestHandler
from tools.template import Template, cors_rules, functions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Otherwise pages of all origins may use all buckets. A bucket has rules of its own.
vars(werkzeug_app)["DISABLE_GLOBAL_CORS"] = True

_ACCOUNT = "123456789012"  # the account that moto uses
_STORAGE_TYPES = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue")


class QuietRequestHandler(RequestHandler):
    """A request handler that logs no requests."""

    def log_request(self, *_: object) -> None: ...


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Run `server` in a thread of its own until the block ends."""
    # The server looks every 50 ms whether it should stop. Its default, 0.5 s, would delay the end.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def run(host: str, port: int = 0) -> Iterator[dict[str, str]]:
    """Serve S3 and DynamoDB on a port, by default a free one, until the block ends.

    Yields environment variables for AWS clients. They contain the endpoint and false credentials, so that the
    clients cannot reach the user's own account.
    """
    app = _SharedForms(_OneAtATime(DomainDispatcherApplication(create_backend_app)))
    server = make_server(host, port, app, threaded=True, request_handler=QuietRequestHandler)
    url = f"http://{host}:{server.port}"
    with moto_transactions.mended(), serving(server):
        # moto keeps its state in the process, even after the server has ended.
        with requests.Session() as session:
            session.trust_env = False  # requests to this machine must not go through a proxy
            session.post(f"{url}/moto-api/reset", timeout=10).raise_for_status()
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": host,
            "no_proxy": host,
        }


def create_resources(template: Template) -> tuple[dict[str, str], dict[str, str]]:
    """Create the buckets, the queues and the table of the template.

    Returns the environment variables of the functions, and the physical name of each resource by its logical id. The
    AWS clients of this process must point to a stand-in. moto's CloudFormation resolves the references in the
    variables: each variable becomes an output of a stack.
    """
    variables = dict(_environment(template))
    resources = deepcopy(
        {name: found for name, found in template["Resources"].items() if found["Type"] in _STORAGE_TYPES}
    )
    for resource in resources.values():
        # moto's CloudFormation does not know these.
        resource["Properties"].pop("NotificationConfiguration", None)
        resource.pop("DependsOn", None)
    storage = {
        "Parameters": template["Parameters"],
        "Resources": resources,
        # Output names may only contain letters and digits.
        "Outputs": {name.replace("_", "0"): {"Value": value} for name, value in variables.items()},
    }
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName="image-pipeline", TemplateBody=json.dumps(storage))
    (stack,) = cloudformation.describe_stacks(StackName="image-pipeline")["Stacks"]
    listed = cloudformation.describe_stack_resources(StackName="image-pipeline")["StackResources"]
    names = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in listed}
    for logical_id, name in names.items():
        configuration = template["Resources"][logical_id]["Properties"].get("NotificationConfiguration", {})
        notify(name, configuration, names, boto3.client)
        if template["Resources"][logical_id]["Type"] == "AWS::S3::Bucket":
            share(name, cors_rules(template, logical_id), boto3.client)
    outputs = {output["OutputKey"].replace("0", "_"): output["OutputValue"] for output in stack["Outputs"]}
    return outputs, names


def share(bucket: str, rules: list[dict[str, Any]], client: Callable[[Any], Any]) -> None:
    """Let pages of other origins use a bucket, as these CORS rules say. `client` makes the client of a service."""
    if rules:
        client("s3").put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})


def notify(bucket: str, configuration: dict[str, Any], urls: dict[str, str], client: Callable[[Any], Any]) -> None:
    """Let S3 send messages to queues, as the notification configuration of a bucket in the template says.

    `urls` has the URL of each queue by its logical id. `client` makes the client of a service.
    """
    for queue in configuration.get("QueueConfigurations", []):
        url = urls[queue["Queue"]["Fn::GetAtt"][0]]
        attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        rules = queue["Filter"]["S3Key"]["Rules"]
        client("s3").put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "QueueArn": attributes["Attributes"]["QueueArn"],
                        "Events": [queue["Event"]],
                        "Filter": {"Key": {"FilterRules": rules}},
                    }
                ]
            },
        )


def _environment(template: Template) -> Iterator[tuple[str, Any]]:
    """Yield the name and value of each variable. A variable has the same value in all functions."""
    for properties in functions(template).values():
        for name, value in properties["Environment"]["Variables"].items():
            # Functions have no versions here.
            if value != {"Ref": "UploadImageFunction.Version"}:
                yield name, value


class _OneAtATime:
    """A WSGI application that handles one request at a time, because moto's transactions are not thread-safe.

    After each request it deletes the data that moto collects for its dashboard. This data includes a copy of the whole
    table for each transaction: 3 GB after 400 uploads.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._lock = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with self._lock:
            try:
                return self._app(environ, start_response)
            finally:
                reset_model_data()


class _SharedForms:
    """A WSGI application that applies the CORS rules of a bucket to posted forms. moto does that for other requests."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        bucket = s3_backends[_ACCOUNT]["aws"].buckets.get(environ["PATH_INFO"].strip("/"))
        rules = bucket.cors if bucket else []
        shared: list[tuple[str, str]] = []
        if origin and environ["REQUEST_METHOD"] == "POST" and any(_allows(rule, origin) for rule in rules):
            shared = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
        return self._app(environ, lambda status, headers, *error: start_response(status, [*headers, *shared], *error))


def _allows(rule: CorsRule, origin: str) -> bool:
    return "POST" in rule.allowed_methods and cors_matches_origin(origin, rule.allowed_origins)

"""The buckets, the queues and the table of template.yaml, in the engines of this machine or in moto."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus

from tools.local.engines import EngineError
from tools.template import Template, cors_rules, table_definition

Client = Callable[[Any], Any]
_Properties = dict[str, Any]
_QUEUE_ATTRIBUTES = {"VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy", "Policy"}


def create(template: Template, client: Client) -> dict[str, str]:
    """Create what does not exist. Return the names of the buckets and the table, and the URLs of the queues.

    They are by logical id. The name of ThumbnailsBucket is `thumbnails`. `client` makes the client of an AWS service.
    """
    tables = _create_tables(template, client("dynamodb"))
    queues = _create_queues(template, client("sqs"))
    urls = {queue: url for queue, (url, _) in queues.items()}
    arns = {queue: arn for queue, (_, arn) in queues.items()}
    return tables | urls | _create_buckets(template, arns, client("s3"))


def resend_notifications(template: Template, names: dict[str, str], client: Client) -> None:
    """Send the notification of S3 again for each file that waits to be processed.

    A file is deleted when it has been processed. The messages were in memory when the API stopped.
    """
    s3, sqs = client("s3"), client("sqs")
    for bucket, properties in _of_type(template, "S3::Bucket").items():
        for queue in properties.get("NotificationConfiguration", {}).get("QueueConfigurations", []):
            (prefix,) = (rule["Value"] for rule in queue["Filter"]["S3Key"]["Rules"])
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=names[bucket], Prefix=prefix)
            for stored in (found for page in pages for found in page.get("Contents", [])):
                record = {"s3": {"object": {"key": quote_plus(stored["Key"], safe="/")}}}
                url = names[queue["Queue"]["Fn::GetAtt"][0]]
                sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"Records": [record]}))


def _create_queues(template: Template, sqs: Any) -> dict[str, tuple[str, str]]:  # noqa: ANN401 - one of many clients
    """Return the URL and the ARN of each queue."""
    queues = _of_type(template, "SQS::Queue")
    created = {}
    for queue in queues:
        url = sqs.create_queue(QueueName=_name(queue, "Queue"))["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        created[queue] = (url, attributes["Attributes"]["QueueArn"])
    arns = {queue: arn for queue, (_, arn) in created.items()}
    for policy in _of_type(template, "SQS::QueuePolicy").values():
        for queue in policy["Queues"]:
            queues[queue["Ref"]]["Policy"] = policy["PolicyDocument"]
    for queue, properties in queues.items():
        sqs.set_queue_attributes(QueueUrl=created[queue][0], Attributes=_attributes(properties, arns))
    return created


def _attributes(properties: _Properties, arns: dict[str, str]) -> dict[str, str]:
    """Return the attributes of a queue. Encryption is left out."""

    def resolved(value: object) -> object:
        match value:
            case {"Fn::GetAtt": [queue, "Arn"]}:
                return arns[queue]
            case {"Ref": "AWS::AccountId"}:
                return next(iter(arns.values())).split(":")[4]
            case dict():
                return {name: resolved(part) for name, part in value.items()}
            case list():
                return [resolved(part) for part in value]
        return value

    return {
        name: value if isinstance(value := resolved(described), str) else json.dumps(value)
        for name, described in properties.items()
        if name in _QUEUE_ATTRIBUTES
    }


def _create_buckets(template: Template, arns: dict[str, str], s3: Any) -> dict[str, str]:  # noqa: ANN401
    names = {}
    for bucket, properties in _of_type(template, "S3::Bucket").items():
        name = names[bucket] = _name(bucket, "Bucket")
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=name)
        if rules := cors_rules(template, bucket):
            s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})
        queues = [
            {
                "QueueArn": arns[queue["Queue"]["Fn::GetAtt"][0]],
                "Events": [queue["Event"]],
                "Filter": {"Key": {"FilterRules": queue["Filter"]["S3Key"]["Rules"]}},
            }
            for queue in properties.get("NotificationConfiguration", {}).get("QueueConfigurations", [])
        ]
        if queues:
            s3.put_bucket_notification_configuration(
                Bucket=name, NotificationConfiguration={"QueueConfigurations": queues}
            )
    return names


def _create_tables(template: Template, dynamodb: Any) -> dict[str, str]:  # noqa: ANN401
    names = {}
    for table, properties in _of_type(template, "DynamoDB::Table").items():
        name = names[table] = _name(table, "Table")
        definition = table_definition(template)
        with suppress(dynamodb.exceptions.ResourceInUseException):
            dynamodb.create_table(TableName=name, **definition)
        stored = dynamodb.describe_table(TableName=name)["Table"]
        if _indexes(stored) != _indexes(definition):
            raise EngineError(
                "another version of the project has made this folder; choose another one: make serve DATA="
            )
        if dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED":
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])
    return names


def _indexes(table: _Properties) -> dict[str, Any]:
    """Return the keys of a table and of its indexes."""
    return {index["IndexName"]: index["KeySchema"] for index in table["GlobalSecondaryIndexes"]} | {
        "": table["KeySchema"]
    }


def _of_type(template: Template, name: str) -> dict[str, _Properties]:
    """Return the properties of the resources of a type by their logical ids."""
    return {
        logical_id: dict(resource["Properties"])
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == f"AWS::{name}"
    }


def _name(logical_id: str, kind: str) -> str:
    return logical_id.removesuffix(kind).lower()

"""The buckets, the queues and the table of template.yaml, in the engines of this machine or in moto."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus

from tools.template import Template, cors_rules, table_definition

Client = Callable[[Any], Any]
_Properties = dict[str, Any]
_QUEUE_ATTRIBUTES = {"VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy", "Policy"}


def create(template: Template, client: Client) -> dict[str, str]:
    """Create what does not exist. Return the names of the buckets and the table, and the URLs of the queues.

    They are by logical id. The name of ThumbnailsBucket is `thumbnails`. `client` makes the client of an AWS service.
    """
    queues, buckets, tables = (_of_type(template, name) for name in ("SQS::Queue", "S3::Bucket", "DynamoDB::Table"))
    urls = {queue: client("sqs").create_queue(QueueName=_name(queue, "Queue"))["QueueUrl"] for queue in queues}
    arns = {queue: _arn(url, client) for queue, url in urls.items()}
    for queue, properties in queues.items():
        client("sqs").set_queue_attributes(QueueUrl=urls[queue], Attributes=_attributes(properties, arns))
    for policy in _of_type(template, "SQS::QueuePolicy").values():
        for queue in (reference["Ref"] for reference in policy["Queues"]):
            attributes = _attributes({"Policy": policy["PolicyDocument"]}, arns)
            client("sqs").set_queue_attributes(QueueUrl=urls[queue], Attributes=attributes)
    for bucket, properties in buckets.items():
        name = _name(bucket, "Bucket")
        with suppress(client("s3").exceptions.BucketAlreadyOwnedByYou):
            client("s3").create_bucket(Bucket=name)
        if rules := cors_rules(template, bucket):
            client("s3").put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})
        _notify(name, properties.get("NotificationConfiguration", {}), arns, client)
    for table in tables:
        _create_table(_name(table, "Table"), template, client("dynamodb"))
    return (
        urls
        | {bucket: _name(bucket, "Bucket") for bucket in buckets}
        | {table: _name(table, "Table") for table in tables}
    )


def announce(template: Template, names: dict[str, str], client: Client) -> None:
    """Send the notification of S3 again for each file whose upload S3 tells a queue.

    A file is deleted when it has been processed. The messages about the others were in memory when the API stopped.
    """
    for bucket, properties in _of_type(template, "S3::Bucket").items():
        for queue in properties.get("NotificationConfiguration", {}).get("QueueConfigurations", []):
            (prefix,) = (rule["Value"] for rule in queue["Filter"]["S3Key"]["Rules"])
            pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=names[bucket], Prefix=prefix)
            for stored in (found for page in pages for found in page.get("Contents", [])):
                record = {"s3": {"object": {"key": quote_plus(stored["Key"], safe="/")}}}
                url = names[queue["Queue"]["Fn::GetAtt"][0]]
                client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps({"Records": [record]}))


def _of_type(template: Template, name: str) -> dict[str, _Properties]:
    """Return the properties of the resources of a type by their logical ids."""
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == f"AWS::{name}"
    }


def _name(logical_id: str, kind: str) -> str:
    return logical_id.removesuffix(kind).lower()


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


def _arn(url: str, client: Client) -> str:
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn: str = attributes["Attributes"]["QueueArn"]
    return arn


def _notify(bucket: str, configuration: _Properties, arns: dict[str, str], client: Client) -> None:
    """Let S3 send messages to queues, as the notification configuration of a bucket in the template says."""
    queues = [
        {
            "QueueArn": arns[queue["Queue"]["Fn::GetAtt"][0]],
            "Events": [queue["Event"]],
            "Filter": {"Key": {"FilterRules": queue["Filter"]["S3Key"]["Rules"]}},
        }
        for queue in configuration.get("QueueConfigurations", [])
    ]
    if queues:
        client("s3").put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": queues}
        )


def _create_table(name: str, template: Template, dynamodb: Any) -> None:  # noqa: ANN401 - one of many clients
    try:
        dynamodb.create_table(TableName=name, **table_definition(template))
    except dynamodb.exceptions.ResourceInUseException:
        return
    attribute = template["Resources"]["ImagesTable"]["Properties"]["TimeToLiveSpecification"]
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=attribute)

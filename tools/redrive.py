"""Send the messages of the dead-letter queues of a stack back to their queues: `python -m tools.redrive STACK`."""

import argparse
import sys
from collections.abc import Sequence

import boto3

_QUEUES = ("UploadsDeadLetterQueue", "LeftoversDeadLetterQueue")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    options = parser.parse_args(arguments)
    sqs, cloudformation = boto3.client("sqs"), boto3.client("cloudformation")
    for name in _QUEUES:
        described = cloudformation.describe_stack_resource(StackName=options.stack, LogicalResourceId=name)
        url = described["StackResourceDetail"]["PhysicalResourceId"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        number = int(attributes["ApproximateNumberOfMessages"])
        if number:
            sqs.start_message_move_task(SourceArn=attributes["QueueArn"])
        print(f"{name}: {number} messages {'go back' if number else '- nothing to do'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

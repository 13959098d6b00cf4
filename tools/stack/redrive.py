"""Try again what is in the dead-letter queues of a stack: `python -m tools.stack.redrive STACK`.

SQS moves the messages of UploadsDeadLetterQueue and LeftoversDeadLetterQueue back to their queues. A message of
StreamDeadLetterQueue names records of the table's stream: the ids of their images go to LeftoversQueue.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from tools.stack import deployed, stream_failures

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MOVABLE_QUEUES = ("UploadsDeadLetterQueue", "LeftoversDeadLetterQueue")
_STREAM, _LEFTOVERS = "StreamDeadLetterQueue", "LeftoversQueue"
# SQS moves messages in the background. After this time, the command no longer waits for it.
_MAX_WAIT_SECONDS = 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status, 1 if a message stays in its dead-letter queue."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    options = parser.parse_args(arguments)
    done = [_move(name, deployed.resource(options.stack, name)) for name in _MOVABLE_QUEUES]
    done.append(_resend(deployed.resource(options.stack, _STREAM), deployed.resource(options.stack, _LEFTOVERS)))
    return 0 if all(done) else 1


def _move(name: str, url: str) -> bool:
    """Let SQS move the messages of a dead-letter queue. Return whether it did not fail."""
    sqs = boto3.client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    number = int(attributes["ApproximateNumberOfMessages"])
    if not number:
        print(f"{name}: 0 messages - nothing to do")
        return True
    try:
        sqs.start_message_move_task(SourceArn=attributes["QueueArn"])
    except ClientError as error:
        print(f"{name}: {number} messages stay - {error}")
        return False
    return _report(sqs, name, attributes["QueueArn"], number)


def _report(sqs: "SQSClient", name: str, arn: str, number: int) -> bool:
    """Wait for the move, and print how it went. Return whether it did not fail."""
    end = time.monotonic() + _MAX_WAIT_SECONDS
    task = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"][0]
    while task["Status"] == "RUNNING" and time.monotonic() < end:
        time.sleep(1)
        task = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"][0]
    moved = f"{name}: {task.get('ApproximateNumberOfMessagesMoved', 0)} of about {number} messages went back"
    match task["Status"]:
        case "COMPLETED":
            print(moved)
        case "RUNNING":
            print(f"{moved} so far. SQS moves the rest")
        case status:
            print(f"{moved}. The move ended as {status}: {task.get('FailureReason', 'without a reason')}")
            return False
    return True


def _resend(url: str, target: str) -> bool:
    """Send the images of the stream's dead letters to a queue. Return whether no message was kept."""
    outcome = stream_failures.resend(url, target)
    if not (outcome.sent or outcome.gone or outcome.kept):
        print(f"{_STREAM}: 0 messages - nothing to do")
        return True
    print(f"{_STREAM}: {outcome.sent} messages with {outcome.images} images went to {_LEFTOVERS}")
    if outcome.gone:
        print(
            f"{_STREAM}: {len(outcome.gone)} messages stay, because the stream no longer has their records. "
            "`make reindex` settles these images. Then delete the messages: " + ", ".join(outcome.gone)
        )
    for message, reason in outcome.kept.items():
        print(f"{_STREAM}: message {message} stays - {reason}")
    return not (outcome.gone or outcome.kept)


if __name__ == "__main__":
    sys.exit(main())

"""Moves the messages of a dead-letter queue back to their queue. SQS does it in the background."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from clients.stopping import StopRequest
from tools.stack import deployed, refusals
from tools.stack.parallel import UnfinishedError
from tools.stack.tally import FailedError

_MOVING = {"RUNNING", "CANCELLING"}
_POLL_SECONDS = 1
_SECONDS_BETWEEN_LINES = 30
# SQS lists a new task, and the length of a queue, only after a while.
_MAX_DELAY_SECONDS = 60


def move(name: str, url: str, stop: StopRequest) -> None:
    """Let SQS move the messages, and wait until it ends. Waits for a move that is running already.

    Raises FailedError if messages stay, UnfinishedError after a request to stop, and the errors of botocore.
    """
    sqs = deployed.sqs()
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    visible, hidden = lengths(url)
    earlier = _newest_task(arn)
    if earlier.get("Status") in _MOVING:
        print(f"{name}: SQS moves its messages already")
        _wait(name, arn, {}, stop)
    elif visible:
        try:
            sqs.start_message_move_task(SourceArn=arn)
        except ClientError as error:
            # Another person may have started a move at the same time.
            if _newest_task(arn).get("Status") not in _MOVING:
                raise FailedError(f"{visible + hidden} messages stay - {refusals.reason(error)}") from error
        _wait(name, arn, earlier, stop)
    elif not hidden:
        print(f"{name}: 0 messages - nothing to do")
        return
    if stay := left(url, stop):
        raise FailedError(f"{stay} messages stay. If a program reads them now, they are hidden: try again later")


def _wait(name: str, arn: str, earlier: Mapping[str, Any], stop: StopRequest) -> None:
    """Wait until the newest move ends, which is not `earlier`. Raises FailedError if it does not end well."""
    began = told = time.monotonic()
    while True:
        task = _newest_task(arn)
        is_listed = bool(task) and task.get("StartedTimestamp") != earlier.get("StartedTimestamp")
        if is_listed and task["Status"] not in _MOVING:
            break
        if not is_listed and time.monotonic() - began > _MAX_DELAY_SECONDS:
            raise FailedError("SQS does not say how the move goes. Run the same command again")
        if time.monotonic() - told > _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            print(f"{name}: {_progress(task)} so far", file=sys.stderr)
        if stop.wait(_POLL_SECONDS):
            raise UnfinishedError(f"{_progress(task) if is_listed else 'SQS has begun'}. SQS moves the rest")
    print(f"{name}: {_progress(task)}")
    if task["Status"] != "COMPLETED":
        raise FailedError(f"the move ended as {task['Status']}: {task.get('FailureReason', 'without a reason')}")


def _progress(task: Mapping[str, Any]) -> str:
    moved, number = task.get("ApproximateNumberOfMessagesMoved", 0), task.get("ApproximateNumberOfMessagesToMove")
    of_all = "" if number is None else f" of about {number}"
    return f"{moved}{of_all} messages went back"


def _newest_task(arn: str) -> Mapping[str, Any]:
    """Return the move that began last, or nothing."""
    tasks = deployed.sqs().list_message_move_tasks(SourceArn=arn, MaxResults=1).get("Results", [])
    return tasks[0] if tasks else {}


def left(url: str, stop: StopRequest) -> int:
    """Return how many messages the queue has, as soon as it has none, or after some time."""
    end = time.monotonic() + _MAX_DELAY_SECONDS
    while (number := sum(lengths(url))) and time.monotonic() < end:
        if stop.wait(_POLL_SECONDS):
            break
    return number


def lengths(url: str) -> tuple[int, int]:
    """Return about how many messages of a queue are visible, and how many are hidden because a program reads them."""
    attributes = deployed.sqs().get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    )["Attributes"]
    visible, hidden = attributes["ApproximateNumberOfMessages"], attributes["ApproximateNumberOfMessagesNotVisible"]
    return int(visible), int(hidden)

"""Messages to a queue of the stack. SQS may refuse some of a batch."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tools.stack import deployed, parallel
from tools.stack.tally import Ended, FailedError

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

# The largest batch that SQS accepts.
MAX_BATCH = 10
_TRIES = 4
_PAUSE_SECONDS = 1


def send(url: str, bodies: Sequence[str]) -> dict[str, str]:
    """Send different messages. Return why SQS refused some, by body. Raises the errors of botocore."""
    return {
        body: reason
        for batch in parallel.batches(bodies, MAX_BATCH)
        for body, reason in _send_batch(url, batch).items()
    }


def send_for_images(url: str, bodies: Mapping[str, str], sent: str) -> dict[str, Ended]:
    """Send the message of each image. Return by image id how this ended: `sent`, or an error."""
    if not bodies:
        return {}
    refused = parallel.attempt(lambda values: send(url, values), list(bodies.values()))
    if isinstance(refused, BaseException):
        return dict.fromkeys(bodies, refused)
    return {
        image_id: FailedError(f"SQS refused its message: {refused[body]}") if body in refused else sent
        for image_id, body in bodies.items()
    }


def _send_batch(url: str, bodies: Sequence[str]) -> dict[str, str]:
    refused: dict[str, str] = {}
    for tries in range(_TRIES):
        time.sleep(tries * _PAUSE_SECONDS)
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies)
        ]
        failed = deployed.sqs().send_message_batch(QueueUrl=url, Entries=entries).get("Failed", [])
        reasons = {bodies[int(entry["Id"])]: entry.get("Message", entry["Code"]) for entry in failed}
        refused = {body: reason for body, reason in refused.items() if body not in bodies} | reasons
        # Another try does not help against a fault of the message.
        bodies = [bodies[int(entry["Id"])] for entry in failed if not entry["SenderFault"]]
        if not bodies:
            break
    return refused

"""Try again what is in the dead-letter queues of a stack: `python -m tools.stack.redrive STACK`.

SQS moves the messages of UploadsDeadLetterQueue and LeftoversDeadLetterQueue back to their queues. A message of
StreamDeadLetterQueue names records of the table's stream: the ids of their images go to LeftoversQueue.
"""

import argparse
import sys
from collections.abc import Sequence

from clients.stopping import StopRequest
from tools.stack import command, deployed, moves, stream_failures
from tools.stack.parallel import UnfinishedError
from tools.stack.tally import Ended, FailedError, Tally

_STREAM, _LEFTOVERS = "StreamDeadLetterQueue", "LeftoversQueue"
_QUEUES = ("UploadsDeadLetterQueue", "LeftoversDeadLetterQueue", _STREAM)
_EMPTY = "have no messages left"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status, 1 if a message stays in its dead-letter queue."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    options = parser.parse_args(arguments)
    tally = Tally("queue", (_EMPTY,))

    def work() -> None:
        deployed.outputs(options.stack)
        tally.each(
            _QUEUES,
            lambda name: [(name, _redrive(options.stack, name, tally.stop))],
            lambda name: [name],
            len(_QUEUES),
        )

    return command.run([tally], work)


def _redrive(stack: str, name: str, stop: StopRequest) -> Ended:
    """Empty a dead-letter queue. Raises FailedError if messages stay, UnfinishedError, and the errors of botocore."""
    url = deployed.resource(stack, name)
    if name == _STREAM:
        _resend(url, deployed.resource(stack, _LEFTOVERS), stop)
    else:
        moves.move(name, url, stop)
    return _EMPTY


def _resend(url: str, target: str, stop: StopRequest) -> None:
    """Send the images of the stream's dead letters to a queue. Raises FailedError and UnfinishedError."""
    outcome = stream_failures.resend(url, target, stop)
    if outcome.sent:
        print(f"{_STREAM}: {outcome.sent} messages with {outcome.images} images went to {_LEFTOVERS}")
    if outcome.gone:
        print(
            f"{_STREAM}: {len(outcome.gone)} messages stay, because the stream no longer has their records. "
            "`make reindex` settles these images. Then delete the messages: " + ", ".join(outcome.gone)
        )
    for message, reason in outcome.kept.items():
        print(f"{_STREAM}: message {message} stays - {reason}")
    if stop.is_set:
        raise UnfinishedError
    if stay := len(outcome.gone) + len(outcome.kept) or moves.left(url, stop):
        raise FailedError(f"{stay} messages stay. Some may be hidden because a program reads them: try again later")
    if not outcome.sent:
        print(f"{_STREAM}: 0 messages - nothing to do")


if __name__ == "__main__":
    sys.exit(main())

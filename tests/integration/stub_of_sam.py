"""A stub of SAM for the tests of make deploy: it builds nothing, and its deployment makes a stack of outputs.

The outputs are in STUB_OUTPUTS. With STUB_WAITS=build, it stays in that command until Ctrl-C.
"""

import json
import os
import sys
import time
from pathlib import Path

STACK = "a-stack"


def main() -> int:
    command, arguments = sys.argv[1], sys.argv[2:]
    with Path("sam.log").open("a") as log:
        log.write(f"{command} {' '.join(arguments)}\n")
    say(f"the stub of SAM runs {command}")
    if os.environ.get("STUB_WAITS") == command:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            say("the stub of SAM has cleaned up")
            return 1
    if os.environ.get("STUB_FAILS") == command:
        return 1
    if command == "deploy":
        say("CloudFormation stack changeset\n+ Add  Api")
        if "--confirm-changeset" in arguments and input("Deploy this changeset? [y/N]: ") != "y":
            return 0
        deploy()
    return 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def deploy() -> None:
    import boto3  # noqa: PLC0415 - its import takes longer than the other commands

    outputs = {name: {"Value": value} for name, value in json.loads(os.environ["STUB_OUTPUTS"]).items()}
    body = json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}, "Outputs": outputs})
    cloudformation = boto3.client("cloudformation")
    # The stack is created again each time, because moto does not record the time of the last update.
    cloudformation.delete_stack(StackName=STACK)
    cloudformation.create_stack(StackName=STACK, TemplateBody=body)


if __name__ == "__main__":
    sys.exit(main())

"""A stub of SAM for the commands of docs/first-hour.md: its stack is in the emulator, and it builds no images.

The test copies it to a program. AWS_ENDPOINT_URL is the URL of the emulator.
"""

import os
import sys

from tests.rehearsal.stack import Stack
from tools.deploy import settings_file
from tools.template import Template


def main() -> int:
    stack = Stack(os.environ["AWS_ENDPOINT_URL"])
    match sys.argv[1]:
        case "deploy":
            stack.deploy(settings_file.read("default").values, change=reachable)
        case "delete":
            stack.delete()
            sys.stdout.write("Deleted successfully\n")
    return 0


def reachable(described: Template) -> None:
    """Let the output ApiUrl lead to the emulator, which serves the API by a path."""
    url = f"{os.environ['AWS_ENDPOINT_URL']}/_aws/execute-api/${{Api}}/prod"
    described["Outputs"]["ApiUrl"]["Value"] = {"Fn::Sub": url}


if __name__ == "__main__":
    sys.exit(main())

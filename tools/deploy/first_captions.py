"""Asks the new version of the upload function for captions, before a user does."""

import json
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tools.deploy.errors import DeployError

# The function waits for two uploads, the first of them with a cold start. Another try would upload twice.
_CONFIG = Config(connect_timeout=10, read_timeout=330, retries={"total_max_attempts": 1})


def check(session: boto3.Session, function: str) -> None:
    """Call the function that uploads two pictures to the new version, and print their captions.

    Raises DeployError unless both get a caption.
    """
    print("\nThe new version gets two pictures. The first of them starts an environment.", flush=True)
    try:
        response = session.client("lambda", config=_CONFIG).invoke(FunctionName=function, Payload=b"{}")
        result: dict[str, Any] = json.load(response["Payload"])
    except (BotoCoreError, ClientError, ValueError) as error:
        raise DeployError(f"{function} could not be called ({error}): run make deploy again, or see its log") from error
    if "FunctionError" in response:
        raise DeployError(f"{function} failed ({result.get('errorMessage')}): see its log in CloudWatch")
    for caption, picture in zip(("first caption", "second caption"), result["pictures"], strict=False):
        said = picture.get("caption") or f"no caption, status {picture.get('status')}"
        print(f"  {caption:14}  {picture['seconds']:6.1f} s  {picture['name']}: {said}")
    if not result["passed"]:
        raise DeployError(
            f"the new version is deployed, but does not work ({result.get('reason')}): see the log of its function"
        )

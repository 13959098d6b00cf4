"""Asks for what only the user knows. No question has an answer that Enter gives by mistake."""

import re

from tools.deploy.checks import REGION
from tools.deploy.errors import DeployError

_ISSUER = re.compile(r"https://[^\s'\"\\]+")
ACCESS = ("API_KEY", "JWT", "AWS_IAM", "NONE")
_ABOUT_ACCESS = """
Who may use the API?
  API_KEY   clients send a key in the header x-api-key; CloudFormation makes the first one
  JWT       clients send a token of your provider of OpenID Connect
  AWS_IAM   clients sign their requests with credentials of AWS
  NONE      anybody who knows the URL can upload, read and delete images, and you pay for it\
"""


def region() -> str:
    """Ask for the region of the stack."""
    print("\nThe region of the stack, such as eu-west-1. It will stand in samconfig.toml.")
    while not re.fullmatch(REGION, answer := _ask("Region: ")):
        print("Please type the name of a region, such as eu-west-1.")
    return answer


def access(present: str | None) -> str:
    """Ask who may use the API. `present` is what the deployed stack has."""
    print(_ABOUT_ACCESS)
    if present:
        print(f"The deployed stack has {present}.")
    while (answer := _ask("API_KEY, JWT, AWS_IAM or NONE: ").upper()) not in ACCESS:
        print("Please type one of the four words. There is no default.")
    return answer


def issuer() -> str:
    """Ask for the issuer of the tokens."""
    print("\nThe issuer of the tokens, an https URL, spelled exactly as in their claim iss.")
    while not _ISSUER.fullmatch(answer := _ask("Issuer: ")):
        print("Please type a URL that begins with https://.")
    return answer


def audience(present: str) -> str:
    """Ask for the audience of the tokens. Enter keeps the present one."""
    print("\nThe audience: tokens name it in their claim aud (or client_id). Separate several by commas.")
    return _ask(f"Audience [{present}]: ") or present


def agreed(question: str) -> bool:
    """Ask for a yes. Everything else is a no."""
    return _ask(f"{question} [y/N]: ").lower() in {"y", "yes"}


def _ask(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError as error:
        print()
        raise DeployError("the questions were not answered: nothing was changed") from error

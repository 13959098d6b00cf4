"""Which owner the person who runs a command means (docs/access.md#whose-images).

A command takes what identifies an owner: the id of an API key, the value of the claim of a token, or the unique id of a
user or a role. `digest:` and 32 digits name an owner as the table and events do. `shared` means the images that all
clients share. So does nothing, except on a stack with Owners=caller, where a forgotten name would mean other images.
"""

import re
from collections.abc import Mapping

from image_pipeline.http import owners
from image_pipeline.models import SHARED
from tools.stack import deployed
from tools.stack.refusals import RefusedAccessError

_DIGEST = "digest:"
_SHARED = "shared"


def digest(stack: str, named: str) -> str:
    """Return the owner in keys and events. Raises RefusedAccessError if the stack has no such owners."""
    if named == _SHARED:
        return SHARED
    if named.startswith(_DIGEST):
        found = named.removeprefix(_DIGEST)
        if not re.fullmatch("[0-9a-f]{32}", found):
            raise RefusedAccessError(f"{named} is no owner: after {_DIGEST} there must be 32 digits of 0-9 and a-f")
        return found
    parameters = deployed.parameters(stack)
    if not named:
        if parameters.get("Owners") == "caller":
            raise RefusedAccessError(f"name an owner, or {_SHARED} for the images that have none")
        return SHARED
    return _of_credentials(parameters, named)


def shown(owner: str) -> str:
    """Return how commands print an owner. After a change of ApiAuth or of the issuer, only this names the owner."""
    return f"the owner {_DIGEST}{owner}" if owner else "no owner, which all clients share"


def _of_credentials(parameters: Mapping[str, str], named: str) -> str:
    """Return the owner that has these credentials, with the parameters of a stack."""
    match auth := parameters.get("ApiAuth"):
        case "API_KEY" if re.fullmatch("[a-z0-9]{10}", named):
            return owners.digest(auth, named)
        case "AWS_IAM" if re.fullmatch(r"(AIDA|AROA)[A-Z0-9]+(:.*)?|\d{12}(:.*)?", named):
            return owners.digest(auth, owners.without_session(named))
        case "JWT":
            return owners.of_token(parameters["JwtIssuer"], parameters.get("OwnerClaim", "sub"), named)
        case "API_KEY":
            # It may be the secret key itself.
            raise RefusedAccessError("the owner is the id of an API key, which has 10 letters and digits. This is none")
        case "AWS_IAM":
            raise RefusedAccessError(f"{named} is not the unique id of a user or a role, such as AROAEXAMPLE")
    raise RefusedAccessError(f"with ApiAuth={auth}, an owner can only be named as {_DIGEST}<32 digits>")

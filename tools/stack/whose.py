"""Which owner the person who runs a command means (docs/access.md#whose-images).

A command takes what identifies an owner: the id of an API key, the value of the claim of a token, or the unique id of a
user or a role. `digest:` and 32 digits name an owner as the table and events do. Nothing means the images that all
clients share.
"""

import re

from image_pipeline.http import owners
from image_pipeline.models import SHARED
from tools.stack import deployed
from tools.stack.refusals import RefusedAccessError

_DIGEST = "digest:"
# API Gateway accepts no shorter keys. The id of a key has 10 characters.
_MIN_SECRET_CHARACTERS = 20


def digest(stack: str, named: str) -> str:
    """Return the owner in keys and events. Raises RefusedAccessError if the stack has no such owners."""
    if not named:
        return SHARED
    if named.startswith(_DIGEST):
        found = named.removeprefix(_DIGEST)
        if not re.fullmatch("[0-9a-f]{32}", found):
            raise RefusedAccessError(f"{named} is no owner: after {_DIGEST} there must be 32 digits of 0-9 and a-f")
        return found
    parameters = deployed.parameters(stack)
    match auth := parameters.get("ApiAuth"):
        case "API_KEY":
            if len(named) >= _MIN_SECRET_CHARACTERS:
                raise RefusedAccessError("the owner is the id of an API key. This looks like the secret key itself")
            caller = named
        case "AWS_IAM":
            caller = owners.without_session(named)
        case "JWT":
            caller = owners.of_token(parameters["JwtIssuer"], parameters["OwnerClaim"], named)
        case _:
            raise RefusedAccessError(f"with ApiAuth={auth}, an owner can only be named as {_DIGEST}<32 digits>")
    return owners.digest(auth, caller)


def shown(owner: str) -> str:
    """Return how commands print an owner. After a change of ApiAuth or of the issuer, only this names the owner."""
    return f"the owner {_DIGEST}{owner}" if owner else "all clients"

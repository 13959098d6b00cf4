"""Whose images a request is about: those that all clients share, or those of the caller (parameter Owners).

The stage of API Gateway names the credentials that tell the owner, in the stage variable `owners`. Who calls is only
taken from what API Gateway has verified, never from what a client sends. Keys and events hold a digest of it. It stays
the same as long as the caller, the kind of credentials and the issuer do.
"""

from hashlib import sha256

from image_pipeline import settings
from image_pipeline.http.requests import Event
from image_pipeline.models import SHARED

_SHARED = "shared"
# 128 bits: nobody finds another caller with the same digest.
_DIGITS = 32
# The unique ids of roles begin with this. The name of the session follows after a colon.
_ROLE = "AROA"


def of(event: Event) -> str:
    """Return the owner of the images that a request may see and make.

    Raises SettingError if API Gateway has not told who calls.
    """
    auth = _auth(event)
    if auth == _SHARED:
        return SHARED
    match auth, event["requestContext"]:
        case "API_KEY", {"identity": {"apiKeyId": str(caller)}} if caller:
            pass
        case "AWS_IAM", {"identity": {"user": str(user)}} if user:
            caller = without_session(user)
        case "JWT", {"authorizer": {"owner": str(owner)}} if owner:
            return owner
        case _:
            raise settings.SettingError(f"the event names no owner, with Owners=caller and ApiAuth={auth}")
    return digest(auth, caller)


def are_callers(event: Event) -> bool:
    """Tell whether each caller sees only its own images."""
    return _auth(event) != _SHARED


def without_session(user: str) -> str:
    """Return the unique id of a user or a role. All sessions of a role have the id of the role."""
    return user.partition(":")[0] if user.startswith(_ROLE) else user


def of_token(issuer: str, claim: str, value: str) -> str:
    """Return the owner that a token names. Another issuer may give the same value to somebody else.

    The authorizer tells it to the functions, because API Gateway may change some characters of other texts.
    """
    return digest("JWT", f"{issuer}\n{claim}\n{value}")


def digest(auth: str, caller: str) -> str:
    """Return the owner in keys and events: a digest of the kind of credentials and of who they belong to."""
    return sha256(f"{auth}\n{caller}".encode()).hexdigest()[:_DIGITS]


def _auth(event: Event) -> str:
    # Events of check_version and of stages of older versions have no variables. Clients cannot remove them.
    auth: str = (event.get("stageVariables") or {}).get("owners", _SHARED)
    return auth

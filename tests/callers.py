"""Events of clients that API Gateway knows, for stacks with Owners=caller."""

from typing import Any

from image_pipeline.http import owners

Event = dict[str, Any]
ISSUER = "https://issuer.example"


def _with_key(caller: str) -> Event:
    return {"identity": {"apiKeyId": caller, "user": None}}


def _with_signature(caller: str) -> Event:
    return {"identity": {"apiKeyId": None, "user": f"AROA{caller}:a-session"}}


def _with_token(caller: str) -> Event:
    return {"authorizer": {"principalId": "somebody", "owner": owners.of_token(ISSUER, "sub", caller)}}


CONTEXTS = {"API_KEY": _with_key, "AWS_IAM": _with_signature, "JWT": _with_token}


def sent_by(caller: str, event: Event, auth: str = "API_KEY") -> Event:
    """Return an event as API Gateway makes it for this caller, with this kind of credentials."""
    context = event.get("requestContext", {}) | CONTEXTS[auth](caller)
    return event | {"stageVariables": {"owners": auth}, "requestContext": context}


def owner(caller: str, auth: str = "API_KEY") -> str:
    """Return the owner of the images that a caller uploads."""
    return owners.of(sent_by(caller, {}, auth))

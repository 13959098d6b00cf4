"""The Lambda authorizer in its container, with the packages that `sam build` installs."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from tests import oidc_issuer
from tests.oidc_issuer import Issuer
from tools.containers.storage import variables

ARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef/prod/GET/api/images"

Authorize = Callable[[str], dict[str, Any]]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer at the address where containers reach this machine."""
    address = urlsplit(variables()["JWT_ISSUER"])
    with oidc_issuer.running(str(address.hostname), address.port or 0) as running:
        for algorithm in ("RS256", "ES256", "EdDSA"):
            running.add_key(algorithm, algorithm)
        yield running


@pytest.fixture
def authorize() -> Authorize:
    url = os.environ["FUNCTIONS_URL"]
    client = boto3.Session("local", "local", region_name="us-east-1").client("lambda", endpoint_url=url)

    def call(token: str) -> dict[str, Any]:
        event = {"type": "TOKEN", "methodArn": ARN, "authorizationToken": f"Bearer {token}"}
        response = client.invoke(FunctionName="AuthorizeFunction", Payload=json.dumps(event).encode())
        document: dict[str, Any] = json.load(response["Payload"])
        return document

    return call


def test_valid_tokens_are_accepted_and_others_refused(issuer: Issuer, authorize: Authorize) -> None:
    for algorithm in issuer.keys:
        policy = authorize(issuer.token(algorithm))
        assert policy["policyDocument"]["Statement"][0]["Effect"] == "Allow"
        for changes in ({"exp": -60}, {"aud": "somebody else"}, {"iss": "https://other.example"}):
            assert authorize(issuer.token(algorithm, **changes))["errorMessage"] == "Unauthorized"

"""Uploads one picture over the public URL of a stack, and deletes it again."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import boto3
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError

from tools.deploy.errors import DeployError
from tools.template import ROOT

PICTURE = ROOT / "tests" / "photos" / "coffee.jpg"
_TIMEOUT_SECONDS = 60
_TRIES = 6
_PAUSE_SECONDS = 5.0
# The model may still load, and a new API or key is not known everywhere at once.
_TRY_AGAIN = {403, 404, 429, 502, 503, 504}


@dataclass(frozen=True)
class Client:
    """Sends requests to the API of a stack as ApiAuth demands."""

    session: boto3.Session
    url: str
    access: str
    key: str | None = None

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """Send one request, with the API key or the signature that `access` requires."""
        request = AWSRequest(method, self.url + path, headers=dict(headers or {}), data=body)
        if self.key:
            request.headers["x-api-key"] = self.key
        if self.access == "AWS_IAM" and (credentials := self.session.get_credentials()):
            SigV4Auth(credentials, "execute-api", self.session.region_name).add_auth(request)
        return requests.request(
            method, self.url + path, headers=dict(request.headers), data=body, timeout=_TIMEOUT_SECONDS
        )


def curl(url: str) -> str:
    """Return the command that uploads the picture with a token."""
    return f'curl -H "Authorization: Bearer $TOKEN" -F file=@{PICTURE.relative_to(ROOT)} {url}/api/images'


def try_out(session: boto3.Session, access: str, outputs: Mapping[str, str]) -> str:
    """Upload the picture and delete it. Return what happened, in one line. Raises DeployError."""
    url = outputs["ApiUrl"]
    try:
        key = _first_key(session, outputs["FirstApiKeyId"]) if access == "API_KEY" else None
        client = Client(session, url, access, key)
        file = (PICTURE.name, PICTURE.read_bytes(), "image/jpeg")
        form = requests.Request("POST", url, files={"file": file}).prepare()
        assert isinstance(form.body, bytes)
        started = time.monotonic()
        # With the key, another try after a lost response does not store a second image.
        headers = {"Content-Type": form.headers["Content-Type"], "Idempotency-Key": str(uuid.uuid4())}
        uploaded = _send_until_ready(client, form.body, headers)
        seconds = time.monotonic() - started
        data = _checked(uploaded, "upload").json()["data"]
        _checked(client.send("DELETE", f"/api/images/{data['image_id']}"), "deletion")
    except (requests.RequestException, BotoCoreError, ClientError) as error:
        raise DeployError(
            f"the stack is deployed, but {url} was not reached ({error}): run make deploy again"
        ) from error
    return f"{PICTURE.name} got its caption in {seconds:.1f} s and is deleted again: {data['caption']}"


def _send_until_ready(client: Client, form: bytes, headers: Mapping[str, str]) -> requests.Response:
    for _ in range(_TRIES - 1):
        response = client.send("POST", "/api/images", form, headers)
        if response.status_code not in _TRY_AGAIN:
            return response
        print(f"  {response.status_code}, trying again", flush=True)
        time.sleep(_PAUSE_SECONDS)
    return client.send("POST", "/api/images", form, headers)


def _first_key(session: boto3.Session, key_id: str) -> str:
    found = session.client("apigateway").get_api_key(apiKey=key_id, includeValue=True)
    return str(found["value"])


def _checked(response: requests.Response, what: str) -> requests.Response:
    if not response.ok:
        raise DeployError(
            f"the stack is deployed, but the {what} of a picture failed with {response.status_code} "
            f"({response.text[:200]}): see the logs in CloudWatch"
        )
    return response

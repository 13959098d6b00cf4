"""Signatures of AWS (Signature Version 4) in requests, as API Gateway checks them with ApiAuth=AWS_IAM.

This replaces a part of API Gateway. botocore makes the signature again with the only key pair of the local API.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

# The only key pair of the local API. Both are no secrets.
ACCESS_KEY_ID = "local-access-key-id"
SECRET_ACCESS_KEY = "the-secret-key-of-the-local-api"
SERVICE = "execute-api"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[^/,]+)/(?P<date>\d{8})/(?P<region>[^/,]+)/(?P<service>[^/,]+)/aws4_request,"
    r" *SignedHeaders=(?P<headers>[^,]+), *Signature=(?P<signature>[0-9a-f]{64})"
)
_TIME = "%Y%m%dT%H%M%SZ"
_MAX_AGE = timedelta(minutes=5)


def is_valid(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether a request has a valid signature of the local key pair.

    `target` is the path with the query, as sent. `headers` have names in lower case.
    """
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    signed = found["headers"].split(";") if found else []
    if not found or not {"host", "x-amz-date"} <= set(signed) <= set(headers):
        return False
    stated_hash = headers.get("x-amz-content-sha256")
    if stated_hash is not None and stated_hash != sha256(body).hexdigest():
        return False
    if (found["key"], found["service"]) != (ACCESS_KEY_ID, SERVICE) or not _is_recent(headers["x-amz-date"]):
        return False
    request = AWSRequest(
        method, f"http://{headers['host']}{target}", {name: headers[name] for name in signed}, data=body
    )
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY), SERVICE, found["region"])
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return compare_digest(expected, found["signature"])


def _is_recent(stated: str) -> bool:
    try:
        time = datetime.strptime(stated, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(datetime.now(UTC) - time) <= _MAX_AGE

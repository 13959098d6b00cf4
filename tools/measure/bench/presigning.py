"""The CPU time of presigned URLs, made by us and by botocore: `.venv/bin/python -m tools.measure.bench.presigning`."""

import os
import time
from collections.abc import Callable
from statistics import median

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest

from image_pipeline.storage import clients, presigning

_URL = "https://thumbnails-1a2b3c4d5e6f.s3.us-east-1.amazonaws.com/b480bcff-7fff-45b2-93cf-7a534fe39821/medium.jpg"
_QUERY = {"response-content-type": "image/jpeg"}
_EXPIRY_SECONDS = 900
# A page of the list has 50 images with two URLs each.
_URLS = 100
_ROUNDS = 50
# The share of a CPU that Lambda gives a function with 512 MB.
_CPU_SHARE = 512 / 1769


def main() -> None:
    """Print the median CPU time of the URLs of one page, for each signer."""
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "x" * 40,
        "AWS_SESSION_TOKEN": "t" * 900,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, sign in (("ours", _ours), ("botocore", _botocore)):
        milliseconds = _page_milliseconds(sign)
        print(f"{name}: {milliseconds:.1f} ms, {milliseconds / _CPU_SHARE:.0f} ms with 512 MB")


def _ours() -> str:
    return presigning.presign(_URL, _QUERY, _EXPIRY_SECONDS)


def _botocore() -> str:
    request = AWSRequest("GET", _URL, params=_QUERY)
    credentials = clients.session().get_credentials()
    assert credentials is not None, "main() sets them"
    S3SigV4QueryAuth(credentials, "s3", "us-east-1", _EXPIRY_SECONDS).add_auth(request)
    return str(request.url)


def _page_milliseconds(sign: Callable[[], str]) -> float:
    seconds = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        for _ in range(_URLS):
            sign()
        seconds.append(time.process_time() - start)
    return median(seconds) * 1000


if __name__ == "__main__":
    main()

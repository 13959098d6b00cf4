"""Measure `make backfill` on moto in this process: `python -m tools.measure.load.backfill`.

Each call to AWS takes 10 ms longer. moto computes in the same process, so the command is faster on AWS.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from contextlib import chdir
from tempfile import TemporaryDirectory

from moto import mock_aws

from image_pipeline.models import ImageFormat
from image_pipeline.storage import clients
from tools import template
from tools.local import resources
from tools.stack import backfill

_STACK, _ARCHIVE = "measured", "archive"
_SECONDS_PER_CALL = 0.01


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the objects per second."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--objects", type=int, default=1000, help="number of objects (default: %(default)s)")
    parser.add_argument("--workers", default="16", help="objects at the same time (default: %(default)s)")
    options = parser.parse_args(arguments)
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    with mock_aws(), TemporaryDirectory() as folder, chdir(folder):
        _fill(options.objects)
        clients.session().events.register("before-call", lambda **_: time.sleep(_SECONDS_PER_CALL))
        start = time.monotonic()
        status = backfill.main([_STACK, _ARCHIVE, "--workers", options.workers])
        seconds = time.monotonic() - start
    if status:
        raise SystemExit(status)
    print(f"{options.objects:,} objects in {seconds:.1f} s: {options.objects / seconds:.0f} objects per second")


def _fill(objects: int) -> None:
    """Create a stack, and a bucket with objects."""
    names = resources.create(template.read(), lambda service: clients.session().client(service))
    outputs = {
        "TableName": names["ImagesTable"],
        "BucketName": names["ThumbnailsBucket"],
        "UploadsBucketName": names["UploadsBucket"],
        "UploadsQueueUrl": names["UploadsQueue"],
    }
    described = {
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    clients.session().client("cloudformation").create_stack(StackName=_STACK, TemplateBody=json.dumps(described))
    s3 = clients.session().client("s3")
    s3.create_bucket(Bucket=_ARCHIVE)
    for number in range(objects):
        s3.put_object(Bucket=_ARCHIVE, Key=f"{number:06}.jpg", Body=ImageFormat.JPEG.signature)


if __name__ == "__main__":
    main()

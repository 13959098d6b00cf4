"""Send the images below a prefix of an S3 bucket through the queue.

Usage: `python -m tools.stack.backfill STACK BUCKET [PREFIX]`.

Each object gets an image id that depends on its bucket, key and ETag. So the same command can be repeated after an
interruption, and processes nothing twice.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID, uuid5

from tqdm import tqdm

from image_pipeline import settings
from image_pipeline.http import file_names
from image_pipeline.models import MEDIA_TYPES
from image_pipeline.storage import claims, clients, keys, table
from tools.measure.cost import inputs
from tools.stack import deployed

# Any fixed id: it keeps our ids apart from others that are made from the same text.
_NAMESPACE = UUID("6f1b1f5e-1d5c-4a39-9a55-4d2f0c7b7a10")
# The price of one image: 2 s of a function with 3,008 MB, its requests, and the writes of DynamoDB.
_DOLLARS_PER_IMAGE = 2 * 3008 / 1024 * inputs.read()["prices"]["lambda_gb_second"] + 0.00003


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    parser.add_argument("bucket", help="bucket with the images")
    parser.add_argument("prefix", nargs="?", default="", help="prefix of their keys (default: all)")
    parser.add_argument("--dry-run", action="store_true", help="count the images and estimate the cost")
    options = parser.parse_args(arguments)
    objects = list(_pictures(options.bucket, options.prefix))
    size = sum(found["Size"] for found in objects)
    print(
        f"{len(objects):,} images, {size / 1e9:.1f} GB; about {len(objects) * _DOLLARS_PER_IMAGE:.2f} US dollars "
        "for processing them"
    )
    if options.dry_run:
        return 0
    values = deployed.outputs(options.stack)
    os.environ |= {"TABLE_NAME": values["TableName"], "UPLOADS_BUCKET": values["UploadsBucketName"]}
    queued = sum(_queue(options.bucket, found) for found in tqdm(objects, unit="image"))
    print(f"{queued:,} images are queued, {len(objects) - queued:,} were queued before")
    return 0


def image_id(bucket: str, key: str, etag: str) -> str:
    """Return the id of the image that is made from this object."""
    return str(uuid5(_NAMESPACE, f"s3://{bucket}/{key}#{etag}"))


def _pictures(bucket: str, prefix: str) -> Iterator[Any]:
    return (
        found
        for found in deployed.objects(bucket, prefix)
        if PurePosixPath(found["Key"]).suffix.lower().removeprefix(".") in MEDIA_TYPES
    )


def _queue(bucket: str, found: Any) -> bool:  # noqa: ANN401 - an object as boto3 lists it
    """Copy an object to the bucket for uploads, which sends a message to the queue. Return whether this was needed."""
    image = image_id(bucket, found["Key"], found["ETag"])
    item = table.find(keys.image(image))
    if item is None:
        claims.request(image, file_names.cleaned(found["Key"]))
    elif item["status"] != "requested":
        return False
    # An item that is still only requested may have no file yet, if this command was interrupted.
    clients.s3().copy_object(
        Bucket=settings.uploads_bucket(),
        Key=keys.uploaded_file(image),
        CopySource={"Bucket": bucket, "Key": found["Key"]},
    )
    return True


if __name__ == "__main__":
    sys.exit(main())

"""Send the images below a prefix of an S3 bucket through the queue.

Usage: `python -m tools.stack.backfill STACK BUCKET [PREFIX]`.

Each object gets an image id that depends on its bucket, key, ETag and owner. So the same command can be repeated after
an interruption, and processes nothing twice.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from uuid import UUID, uuid4, uuid5

from botocore.exceptions import ClientError, ParamValidationError

from clients import prices
from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.http import file_names
from image_pipeline.models import SHARED
from image_pipeline.storage import claims, keys, table
from tools.stack import command, deployed, sources, whose
from tools.stack.failures_file import FailuresFile
from tools.stack.tally import Ended, FailedError, Tally

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectTypeDef

# Any fixed id: it keeps our ids apart from others that are made from the same text.
_NAMESPACE = UUID("6f1b1f5e-1d5c-4a39-9a55-4d2f0c7b7a10")
_QUEUED, _QUEUED_BEFORE = "are queued", "were queued before"
_COUNTED, _ARCHIVED = "would be sent", "are archived and must be restored first"
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
# S3 copies no larger object in one call.
_MAX_COPIED_BYTES = 5 * 1024**3


@dataclass
class Volume:
    """The bytes of the images that a dry run counts in several threads."""

    size: int = 0
    _lock: Lock = field(default_factory=Lock)

    def add(self, size: int) -> None:
        with self._lock:
            self.size += size


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    options = _parser().parse_args(arguments)
    source = sources.Source(
        options.bucket, options.prefix, {"RequestPayer": "requester"} if options.requester_pays else {}
    )
    if options.dry_run:
        return _dry_run(options, source)
    try:
        failures = FailuresFile(options.csv)
    except OSError as error:
        print(
            f"error: {options.csv} cannot be written: {error.strerror}. Name another file with --csv", file=sys.stderr
        )
        return 1
    tally = Tally("image", (_QUEUED, _QUEUED_BEFORE), failures.add)

    def work() -> None:
        deployed.use(options.stack)
        owner, limit = whose.digest(options.stack, options.owner), _limit(options.stack)
        _each(tally, source, options.workers, lambda found: _queue(source, found, limit, owner))
        failures.begin()

    with closing(failures):
        status = command.run([tally], work)
    if failures.rows and failures.is_written:
        print(f"what failed, and why, is in {options.csv}")
    return status or (0 if failures.is_written else 1)


def image_id(bucket: str, key: str, etag: str, owner: str = SHARED) -> str:
    """Return the id of the image that is made from this object for an owner."""
    return str(uuid5(_NAMESPACE, f"{owner}s3://{bucket}/{key}#{etag}"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    parser.add_argument("bucket", help="bucket with the images")
    parser.add_argument("prefix", nargs="?", default="", help="prefix of their keys (default: all)")
    parser.add_argument("--owner", default="", help="owner of the images (default: all clients share them)")
    parser.add_argument("--dry-run", action="store_true", help="count the images and estimate the cost")
    parser.add_argument("--workers", type=_workers, default=16, help="objects at the same time (default: %(default)s)")
    parser.add_argument("--requester-pays", action="store_true", help="pay for the requests to the bucket of another")
    parser.add_argument(
        "--csv", type=Path, default=Path("backfill.csv"), help="what failed, and why (default: %(default)s)"
    )
    return parser


def _workers(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= deployed.MAX_THREADS):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {deployed.MAX_THREADS}")
    return int(text)


def _dry_run(options: argparse.Namespace, source: sources.Source) -> int:
    tally, volume = Tally("image", (_COUNTED, _ARCHIVED)), Volume()

    def count(found: "ObjectTypeDef", limit: int) -> Ended:
        if (unwanted := sources.unwanted(source, found, limit)) is not None:
            return unwanted
        if found.get("StorageClass") in _ARCHIVES and not found.get("RestoreStatus", {}).get("RestoreExpiryDate"):
            return _ARCHIVED
        volume.add(found["Size"])
        return _COUNTED

    def work() -> None:
        whose.digest(options.stack, options.owner)
        limit = _limit(options.stack)
        _each(tally, source, options.workers, lambda found: count(found, limit))

    status = command.run([tally], work)
    dollars = tally.counts[_COUNTED] * prices.TYPICAL_DOLLARS
    at_least = "" if tally.is_complete else "at least "
    print(
        f"they have {at_least}{volume.size / 1e9:.1f} GB; {at_least}about {dollars:.2f} US dollars to process them, "
        "without those that are processed already"
    )
    return status


def _each(tally: Tally, source: sources.Source, workers: int, work: "Callable[[ObjectTypeDef], Ended]") -> None:
    tally.each(
        deployed.objects(source.bucket, source.prefix, OptionalObjectAttributes=["RestoreStatus"], **source.payer),
        lambda found: [(found["Key"], work(found))],
        lambda found: [found["Key"]],
        workers,
    )


def _limit(stack: str) -> int:
    """Return the size of the largest object that the stack accepts and S3 copies."""
    return min(int(deployed.parameters(stack).get("MaxDirectUploadBytes", _MAX_COPIED_BYTES)), _MAX_COPIED_BYTES)


def _queue(source: sources.Source, found: "ObjectTypeDef", limit: int, owner: str) -> Ended:
    """Copy an object to the bucket for uploads, which sends a message to the queue. Return how this ended."""
    if (unwanted := sources.unwanted(source, found, limit)) is not None:
        return unwanted
    image, attempt = image_id(source.bucket, found["Key"], found["ETag"], owner), str(uuid4())
    # The worker deletes a file whose image has no item, so the item comes first.
    status = deployed.patiently(_reserve, owner, image, file_names.cleaned(found["Key"]), attempt)
    if status not in {"new", "requested"}:
        return _QUEUED_BEFORE
    try:
        deployed.s3_for_copies().copy_object(
            Bucket=settings.uploads_bucket(),
            Key=keys.uploaded_file(image),
            CopySource={"Bucket": source.bucket, "Key": found["Key"]},
            CopySourceIfMatch=found["ETag"],
            **source.payer,
        )
    except (ClientError, ParamValidationError) as error:
        # An earlier run may have copied the file of an item that is not new.
        if status == "new" and _certainly_failed(error):
            # If this fails too, the item expires.
            with suppress(StorageError):
                deployed.patiently(claims.withdraw, image, attempt)
        raise sources.explained(source, found, error) from error
    return _QUEUED


def _reserve(owner: str, image: str, name: str, attempt: str) -> str:
    """Create the image item, or renew it if its file may be missing. Return its status, or "new".

    Raises StorageError, and FailedError if the image has failed before.
    """
    item = table.find(keys.image(image))
    if item is None:
        claims.request(owner, image, name, attempt=attempt)
        return "new"
    # An item that is still only requested may have no file yet, if this command was interrupted.
    if item["status"] == "requested":
        item = claims.renew(image, attempt)
    if item["status"] == "failure":
        advice = " Run make redrive." if claims.is_temporary_failure(item) else ""
        raise FailedError(f"it was processed before, and failed: {item.get('error', '')}{advice}")
    return str(item["status"])


def _certainly_failed(error: ClientError | ParamValidationError) -> bool:
    """Tell whether a copy certainly failed. An earlier try of botocore may have succeeded without a response."""
    if isinstance(error, ParamValidationError):
        return True
    described = error.response.get("ResponseMetadata", {})
    return 400 <= described.get("HTTPStatusCode", 0) < 500 and not described.get("RetryAttempts")


if __name__ == "__main__":
    sys.exit(main())

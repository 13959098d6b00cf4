"""Which objects of a bucket a backfill takes, and why one cannot be read."""

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ParamValidationError

from clients import left_out
from image_pipeline.errors import ACCEPTED_FILES
from image_pipeline.models import MEDIA_TYPES, ImageFormat
from tools.stack import deployed, refusals
from tools.stack.tally import FailedError, LeftOut

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectTypeDef

_FIRST_BYTES = 16
_ARCHIVED_CODES = {"InvalidObjectState", "ObjectNotInActiveTierError"}


@dataclass(frozen=True)
class Source:
    """Where the objects are. `payer` is the argument with which the caller pays for the requests, or nothing."""

    bucket: str
    prefix: str
    payer: dict[str, Any]


def unwanted(source: Source, found: "ObjectTypeDef", limit: int) -> LeftOut | None:
    """Return why an object is left out, or None. Raises FailedError and the errors of botocore."""
    key, size = found["Key"], found["Size"]
    # The folders of the prefix are wanted, whatever their names.
    if left_out.is_left_out(key.removeprefix(source.prefix[: source.prefix.rfind("/") + 1])):
        return LeftOut("files of systems")
    if not size:
        return LeftOut("folders" if key.endswith("/") else "empty objects")
    is_named_picture = PurePosixPath(key).suffix.lower().removeprefix(".") in MEDIA_TYPES
    if not is_named_picture and not _begins_like_a_picture(source, found):
        return LeftOut(f"objects that are neither {ACCEPTED_FILES.replace(' or ', ' nor ')}")
    if size > limit:
        raise FailedError(f"it has {size:,} bytes, and the stack accepts at most {limit:,} (MaxDirectUploadBytes)")
    return None


def _begins_like_a_picture(source: Source, found: "ObjectTypeDef") -> bool:
    """Look at the first bytes of an object."""

    def first_bytes() -> bytes:
        response = deployed.s3().get_object(
            Bucket=source.bucket,
            Key=found["Key"],
            Range=f"bytes=0-{_FIRST_BYTES - 1}",
            IfMatch=found["ETag"],
            **source.payer,
        )
        return response["Body"].read()

    try:
        start = deployed.patiently(first_bytes)
    except ClientError as error:
        raise explained(source, found, error) from error
    return start.startswith(tuple(row.signature for row in ImageFormat))


def explained(source: Source, found: "ObjectTypeDef", error: ClientError | ParamValidationError) -> FailedError:
    """Return what to tell about a call for an object that failed."""
    code = refusals.code(error) if isinstance(error, ClientError) else ""
    if code in _ARCHIVED_CODES:
        # S3 Intelligent-Tiering restores an object for good.
        request = "'{}'" if found.get("StorageClass") == "INTELLIGENT_TIERING" else "Days=7"
        payer = " --request-payer requester" if source.payer else ""
        return FailedError(
            "it is archived. Restore it, and run the same command again: aws s3api restore-object "
            f"--bucket {source.bucket} --key {shlex.quote(found['Key'])} --restore-request {request}{payer}"
        )
    if code == "PreconditionFailed":
        return FailedError("it changed while this command ran. Run the same command again")
    if code == "NoSuchKey":
        return FailedError("it was deleted while this command ran")
    return FailedError(refusals.reason(error))

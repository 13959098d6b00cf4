"""Give all images of one owner to another: `python -m tools.stack.assign STACK --from OWNER --to OWNER --yes`.

The owner `shared` has the images that all clients share. An image and its part of the statistics move in one
transaction, so the command can be stopped at any moment and repeated. The stream of the table moves the search index.
Images that were deleted leave their part of the statistics, and Idempotency-Keys stay: they expire after a day.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from image_pipeline import settings
from image_pipeline.models import SHARED
from image_pipeline.storage import hashes, keys, records, table
from tools.stack import command, deployed, refusals, whose
from tools.stack.tally import Ended, FailedError, LeftOut, Tally

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_THREADS = 16
_MOVED = "are moved"
_COUNTED, _RUNNING = "would be moved", "are being processed now"
_GONE = LeftOut("deleted or expired images")
_ELSEWHERE = LeftOut("images that have another owner meanwhile")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    parser.add_argument("--from", dest="old", required=True, help="the owner, or shared")
    parser.add_argument("--to", dest="new", required=True, help="the new owner, or shared")
    parser.add_argument("--yes", action="store_true", help="move the images, and do not only count them")
    options = parser.parse_args(arguments)
    if not (options.old and options.new):
        parser.error(
            "name both owners: FROM=<owner> TO=<owner>. The owner of the images that all clients share is called shared"
        )
    tally = Tally("image", (_MOVED,) if options.yes else (_COUNTED, _RUNNING))

    def work() -> None:
        deployed.use(options.stack)
        old, new = (whose.digest(options.stack, named) for named in (options.old, options.new))
        if old == new:
            raise refusals.RefusedAccessError("FROM and TO are the same owner")
        print(f"from {whose.shown(old)} to {whose.shown(new)}")

        def each(item: table.Item) -> list[tuple[str, Ended]]:
            image_id = keys.image_id(item["pk"])
            return [(image_id, deployed.patiently(move, image_id, old, new) if options.yes else _count(item))]

        tally.each(deployed.owned_images(old), each, lambda item: [keys.image_id(item["pk"])], _THREADS)

    status = command.run([tally], work)
    if not options.yes:
        print("nothing was changed. YES=1 moves them")
    return status


def _count(item: table.Item) -> Ended:
    if not records.exists(item):
        return _GONE
    return _RUNNING if _is_being_processed(item) else _COUNTED


def move(image_id: str, old: str, new: str) -> Ended:
    """Move an image as it is now. Raises FailedError while it is being processed, and StorageError."""
    item = table.find(keys.image(image_id))
    if item is None or not records.exists(item):
        return _GONE
    if keys.owner(item) != old:
        return _MOVED if keys.owner(item) == new else _ELSEWHERE
    if _is_being_processed(item):
        raise FailedError("not tried, because it is being processed now. Run the same command again later")

    def is_moved() -> bool:
        stored = table.find(keys.image(image_id))
        return stored is not None and keys.owner(stored) == new

    counts = _counts(item)
    lowered = records.count(old, {name: -value for name, value in counts.items()})
    writes = [_update(image_id, item, old, new), *lowered, *records.count(new, counts)]
    if settings.finds_duplicates():
        writes += hashes.removed(old, item) + records.remembered(new, item)
    table.write(writes, is_moved)
    return _MOVED


def _is_being_processed(item: table.Item) -> bool:
    """Tell whether an attempt may run. Without a lease, it is an upload by form, which expires if its attempt dies."""
    if "lease" in item:
        return bool(item["lease"] > time.time() * 1000)
    return bool(item["status"] == "processing")


def _counts(item: table.Item) -> dict[str, Any]:
    """Return what an image has added to the statistics."""
    match item["status"]:
        case "success":
            return {"success": 1, "total_processing_time": item["time_taken"]}
        case "failure":
            return {"failure": 1}
    return {}


def _update(image_id: str, item: table.Item, old: str, new: str) -> "TransactWriteItemTypeDef":
    """Return the write that gives an image to another owner, if nothing else has changed its state meanwhile."""
    # Without `event`, the change does not publish how the image ended again.
    changes, condition = "SET #owner = :new", "#status = :status AND (#owner = :old"
    values = {":new": new, ":old": old, ":status": item["status"]}
    condition += " OR attribute_not_exists(#owner))" if old == SHARED else ")"
    if "listing" in item:
        changes += ", listing = :listing"
        values[":listing"] = keys.listing(new, keys.listing_shard(image_id))
    if "lease" in item:
        # An attempt that runs in spite of its lease stores nothing any more.
        changes += ", attempt = :attempt"
        condition += " AND lease = :lease"
        values |= {":attempt": str(uuid4()), ":lease": item["lease"]}
    return {
        "Update": {
            "TableName": settings.table_name(),
            "Key": table.serialize(keys.image(image_id)),
            "UpdateExpression": f"{changes} REMOVE #event",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#owner": "owner", "#status": "status", "#event": "event"},
            "ExpressionAttributeValues": table.serialize(values),
        }
    }


if __name__ == "__main__":
    sys.exit(main())

"""Delete everything of an owner: `python -m tools.stack.forget STACK --owner OWNER --yes`. It can be repeated.

Deletes all images in any state, with their files, their search index and their events as for a client. Then deletes the
statistics, the Idempotency-Keys, whatever is left of the index and the hashes, and dead letters about these images. At
the end, it checks that the table and the buckets have nothing more. A deleted image leaves an item without content,
which expires after an hour. Without an owner, the images are those that all clients share.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence

from clients.stopping import StopRequest
from image_pipeline import settings
from image_pipeline.errors import ImageNotFoundError
from image_pipeline.storage import file_store, keys, quotas, records, search_index, table, thumbnail_store
from tools.stack import command, deployed, moves, parallel, stream_failures, whose
from tools.stack.tally import Ended, FailedError, Tally

_THREADS = 16
_DELETED, _BEFORE, _COUNTED = "are deleted", "were deleted before", "would be deleted"
_OTHERS = "of the index, the statistics and the Idempotency-Keys are deleted"
_NO_LETTERS = "have no dead letters about these images"
_BURIED = "say only that an image was deleted, and expire within an hour"
_BATCH = 25
# No function takes their messages, so reading them delays nothing.
_DEAD_LETTERS = ("UploadsDeadLetterQueue", "LeftoversDeadLetterQueue")
_IMAGE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    parser.add_argument("--owner", default="", help="the owner (default: the images that all clients share)")
    parser.add_argument("--yes", action="store_true", help="delete everything, and do not only count the images")
    options = parser.parse_args(arguments)
    return _forget(options.stack, options.owner) if options.yes else _count(options.stack, options.owner)


def _count(stack: str, named: str) -> int:
    images = Tally("image", (_COUNTED, _BEFORE))

    def work() -> None:
        deployed.use(stack)
        found = deployed.owned_images(_told(stack, named))
        images.each(found, lambda item: [(_name(item), _BEFORE if _is_buried(item) else _COUNTED)], _names, _THREADS)

    status = command.run([images], work)
    print("nothing was changed. YES=1 deletes them for good")
    return status


def _forget(stack: str, named: str) -> int:
    images, others = Tally("image", (_DELETED, _BEFORE)), Tally("item", (_OTHERS,))
    queues, left = Tally("queue", (_NO_LETTERS,)), Tally("item", (_BURIED,))

    def work() -> None:
        deployed.use(stack)
        owner, image_ids = _told(stack, named), set[str]()
        images.each(deployed.owned_images(owner), lambda item: [_delete(owner, item, image_ids)], _names, _THREADS)
        rest = (item for item in deployed.owned(owner) if not _is_image(item))
        others.each(parallel.batches(rest, _BATCH), _delete_items, lambda items: [_name(item) for item in items], 4)
        urls = _dead_letter_queues(stack)
        queues.each(
            urls,
            lambda name: [(name, _delete_letters(urls[name], owner, image_ids, queues.stop))],
            lambda name: [name],
            len(urls),
        )
        left.each(deployed.owned(owner), lambda item: [(_name(item), _checked(item))], _names, _THREADS)
        for name in ("UploadsQueue", "LeftoversQueue"):
            if waiting := sum(moves.lengths(deployed.resource(stack, name))):
                print(f"{name}: about {waiting} messages, of any images. The functions take them soon")

    return command.run([images, others, queues, left], work)


def _told(stack: str, named: str) -> str:
    owner = whose.digest(stack, named)
    print(f"images of {whose.shown(owner)}")
    return owner


def _delete(owner: str, item: table.Item, image_ids: set[str]) -> tuple[str, Ended]:
    """Delete an image, its files and its entries in the index. FollowImagesFunction does this too, but later.

    Raises FailedError and StorageError.
    """
    image_id, is_buried = keys.image_id(item["pk"]), _is_buried(item)
    image_ids.add(image_id)
    if not is_buried:
        deployed.patiently(_bury, owner, item)
    deployed.patiently(search_index.update, image_id)
    deployed.patiently(quotas.settle, image_id)
    deployed.patiently(thumbnail_store.delete_all, image_id)
    deployed.patiently(file_store.delete_all, image_id)
    return image_id, _BEFORE if is_buried else _DELETED


def _bury(owner: str, item: table.Item) -> None:
    try:
        records.bury(owner, item)
    except ImageNotFoundError:
        stored = table.find(table.key_of(item))
        if stored is not None and not _is_buried(stored):
            raise FailedError("it has another owner meanwhile") from None


def _delete_items(items: Sequence[table.Item]) -> list[tuple[str, Ended]]:
    """Delete items that are not images. One of an image may belong to another owner by now, so it is settled."""
    settled: dict[str, Callable[[str], object]] = {
        keys.inventory("")["sk"]: search_index.update,
        keys.place("")["sk"]: quotas.settle,
    }
    for item in items:
        if settle := settled.get(item["sk"]):
            deployed.patiently(settle, keys.image_id(item["pk"]))
    others = [table.key_of(item) for item in items if item["sk"] not in settled]
    deployed.patiently(table.write_batch, [], others)
    return [(_name(item), _OTHERS) for item in items]


def _dead_letter_queues(stack: str) -> dict[str, str]:
    """Return the URLs of the queues whose messages name images or owners, by name."""
    urls = {name: deployed.resource(stack, name) for name in _DEAD_LETTERS}
    if deployed.parameters(stack).get("PublishEvents") == "true":
        name = "EventsDeadLetterQueue"
        urls[name] = deployed.resource(deployed.resource(stack, "Events"), name)
    return urls


def _delete_letters(url: str, owner: str, image_ids: set[str], stop: StopRequest) -> Ended:
    """Delete the messages that name the owner or an image. The others are visible again afterwards."""
    kept = list[str]()
    try:
        for message in stream_failures.waiting(url, stop):
            body = message["Body"]
            if (owner and owner in body) or not image_ids.isdisjoint(_IMAGE_ID.findall(body)):
                deployed.sqs().delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            else:
                kept.append(message["ReceiptHandle"])
    finally:
        stream_failures.show(url, kept)
    if stop.is_set:
        raise parallel.UnfinishedError
    return _NO_LETTERS


def _checked(item: table.Item) -> Ended:
    """Tell that an item has no content and that its image has no files. Raises FailedError."""
    if not (_is_image(item) and _is_buried(item)):
        raise FailedError("it is still in the table. Run the same command again")
    image_id, uploads = keys.image_id(item["pk"]), settings.uploads_bucket()
    for bucket, prefix in (
        (settings.bucket_name(), f"{image_id}/"),
        (uploads, keys.uploaded_file(image_id)),
        (uploads, keys.original(image_id)),
    ):
        if found := next(deployed.objects(bucket, prefix), None):
            raise FailedError(f"{found['Key']} is still in a bucket. Run the same command again")
    return _BURIED


def _is_image(item: table.Item) -> bool:
    return bool(item["sk"] == keys.image("")["sk"])


def _is_buried(item: table.Item) -> bool:
    return bool(item["status"] == "deleted")


def _name(item: table.Item) -> str:
    return keys.image_id(item["pk"])


def _names(item: table.Item) -> list[str]:
    return [_name(item)]


if __name__ == "__main__":
    sys.exit(main())

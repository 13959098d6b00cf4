"""Settle all images again: `python -m tools.stack.reindex STACK`. It can be repeated.

Writes the search index of all finished images, the terms that the vocabulary lacks, and with Duplicates=find which file
each image has. Removes the terms that no image has. With OwnerMaxImages or OwnerDailyUploads, gives each image a place
in the count of its owner, and takes back the places of images that are gone. Then it looks for files of images without
an item, such as those whose deletion was missed, and sends their ids to LeftoversQueue: FollowImagesFunction deletes
the files. This repairs the effects of lost records of the table's stream.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby

from image_pipeline import settings
from image_pipeline.errors import ImageNotFoundError
from image_pipeline.models import SHARED, ImageRecord
from image_pipeline.storage import keys, quotas, records, search_index, table, terms, vocabulary
from tools.stack import command, deployed, messages, parallel
from tools.stack.tally import Ended, Tally

_THREADS = 16
_INDEXED, _GONE = "are in the index", "were deleted meanwhile"
_COMPLETED = "had terms that the vocabulary lacked"
_USED, _UNUSED = "of the vocabulary have images", "had none and were removed"
_COUNTED = "of owners agree with their images"
_SENT = "without an item went to LeftoversQueue, for the deletion of their files"
_HAVE_ITEM = "with files have an item"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    parser.add_argument("--keep-files", action="store_true", help="do not delete files of images that have no item")
    options = parser.parse_args(arguments)
    indexed, files = Tally("image", (_INDEXED, _GONE, _COMPLETED)), Tally("image", (_SENT, _HAVE_ITEM))
    known, counted = Tally("term", (_USED, _UNUSED)), Tally("place", (_COUNTED,))
    tallies = [indexed, known]

    def work() -> None:
        values = deployed.use(options.stack)
        indexed.each(deployed.images(), _rebuild, lambda item: [keys.image_id(item["pk"])], _THREADS)
        known.each(deployed.vocabulary(), _check, lambda item: [item["sk"]], _THREADS)
        if quotas.are_counted():
            tallies.append(counted)
            # Images without a place have one by now. Some places may have no image any more.
            counted.each(deployed.places(), _count, lambda item: [keys.image_id(item["pk"])], _THREADS)
        if not options.keep_files:
            tallies.append(files)
            queue = deployed.resource(options.stack, "LeftoversQueue")
            stored = parallel.batches(_stored(values["BucketName"], values["UploadsBucketName"]), messages.MAX_BATCH)
            files.each(stored, lambda image_ids: _send_lost(queue, image_ids), list, _THREADS)

    return command.run(tallies, work)


def _rebuild(item: table.Item) -> list[tuple[str, Ended]]:
    """Write the entries, the missing terms and the digest of an image. Raises StorageError."""
    image_id = keys.image_id(item["pk"])
    lacking = deployed.patiently(_lacking, image_id)
    if not deployed.patiently(search_index.update, image_id, rebuild=True):
        return [(image_id, _GONE)]
    # If make assign has moved the image meanwhile, the follower of the stream may have been faster.
    deployed.patiently(search_index.update, image_id)
    if settings.finds_duplicates():
        deployed.patiently(records.remember, image_id)
    if quotas.are_counted():
        deployed.patiently(quotas.settle, image_id)
    return [(image_id, _INDEXED), (image_id, _COMPLETED)] if lacking else [(image_id, _INDEXED)]


def _lacking(image_id: str) -> set[str]:
    """Return the terms of an image that the vocabulary lacks."""
    try:
        image = records.find(None, image_id)
    except ImageNotFoundError:
        return set()
    if not isinstance(image, ImageRecord):
        return set()
    return vocabulary.missing(image.owner, terms.vocabulary(image.caption, image.original_name))


def _check(item: table.Item) -> list[tuple[str, Ended]]:
    """Remove a term that no image of its owner has from the vocabulary. Raises StorageError."""
    term = item["sk"]
    is_removed = deployed.patiently(vocabulary.remove, keys.owner(item) or SHARED, [term])
    return [(term, _UNUSED if is_removed else _USED)]


def _count(item: table.Item) -> list[tuple[str, Ended]]:
    """Give back the place of an image that is gone. Raises StorageError."""
    image_id = keys.image_id(item["pk"])
    deployed.patiently(quotas.settle, image_id)
    return [(image_id, _COUNTED)]


def _stored(thumbnails: str, uploads: str) -> Iterator[str]:
    """Yield the ids of all images that have a file, each once."""
    # S3 lists keys in their order, so each of these has its ids in order.
    listed = (
        deployed.objects(thumbnails),
        deployed.objects(uploads, keys.uploaded_file("")),
        deployed.objects(uploads, keys.original("")),
    )
    found = (filter(None, (keys.image_of_object(item["Key"]) for item in objects)) for objects in listed)
    return (image_id for image_id, _ in groupby(merge(*found)))


def _send_lost(queue: str, image_ids: Sequence[str]) -> list[tuple[str, Ended]]:
    """Send the ids that have no image item to the queue.

    An item precedes the files, so an upload that is running has one. An expired item is not gone yet: DynamoDB still
    removes it, and then FollowImagesFunction deletes the files.
    """
    ended: dict[str, Ended] = {}
    lost: dict[str, str] = {}
    for image_id in image_ids:
        item = parallel.attempt(lambda key: deployed.patiently(table.find, key), keys.image(image_id))
        if item is None:
            lost[image_id] = image_id
        else:
            ended[image_id] = item if isinstance(item, BaseException) else _HAVE_ITEM
    return [*ended.items(), *messages.send_for_images(queue, lost, _SENT).items()]


if __name__ == "__main__":
    sys.exit(main())

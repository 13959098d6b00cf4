"""Settle all images again: `python -m tools.stack.reindex STACK`. It can be repeated.

Writes the search index of all finished images. Then it looks for files of images without an item, such as those whose
deletion was missed, and sends their ids to LeftoversQueue: FollowImagesFunction deletes the files. This repairs the
effects of lost records of the table's stream.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence

from tqdm import tqdm

from image_pipeline.storage import keys, search_index, table
from image_pipeline.threads import ThreadPool
from tools.stack import deployed

_THREADS = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    parser.add_argument("--keep-files", action="store_true", help="do not delete files of images that have no item")
    options = parser.parse_args(arguments)
    values = deployed.outputs(options.stack)
    os.environ["TABLE_NAME"] = values["TableName"]
    image_ids = [record.image_id for record in deployed.images()]
    with ThreadPool(_THREADS) as pool:
        reasons = list(tqdm(pool.map(_rebuild, image_ids), total=len(image_ids), unit="image"))
    failed = {image_id: reason for image_id, reason in zip(image_ids, reasons, strict=True) if reason}
    print(f"{len(image_ids) - len(failed):,} images are in the index")
    for image_id, reason in failed.items():
        print(f"error: the image {image_id} is not: {reason}", file=sys.stderr)
    if options.keep_files:
        return 1 if failed else 0
    stored = _stored((values["BucketName"], values["UploadsBucketName"]))
    gone = _without_item(sorted(stored - set(image_ids)))
    try:
        deployed.send(deployed.resource(options.stack, "LeftoversQueue"), gone)
    except deployed.MessageRefusedError as error:
        print(f"error: SQS refused a message: {error}. Please try again", file=sys.stderr)
        return 1
    print(f"{len(gone):,} images without an item have files. Their ids went to LeftoversQueue, for deletion")
    return 1 if failed else 0


def _rebuild(image_id: str) -> str | None:
    """Write the entries of an image. Return why that is not possible, or None."""
    try:
        search_index.update(image_id, rebuild=True)
    except Exception as error:  # noqa: BLE001 - one image must not end the work on all others
        return f"{type(error).__name__}: {error.__cause__ or error}"
    return None


def _stored(buckets: Iterable[str]) -> set[str]:
    """Return the ids of all images that have a file."""
    found = {keys.image_of_object(item["Key"]) for bucket in buckets for item in deployed.objects(bucket)}
    return {image_id for image_id in found if image_id is not None}


def _without_item(image_ids: Sequence[str]) -> list[str]:
    """Return the ids, out of these, that have no image item.

    An item precedes the files, so an upload that is running has one. An expired item is not gone yet: DynamoDB still
    removes it, and then FollowImagesFunction deletes the files.
    """
    with ThreadPool(_THREADS) as pool:
        items = pool.map(table.find, map(keys.image, image_ids))
        return [image_id for image_id, item in zip(image_ids, items, strict=True) if item is None]


if __name__ == "__main__":
    sys.exit(main())

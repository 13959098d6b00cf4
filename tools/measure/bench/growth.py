"""The time of each read with 100 images to a million, on DynamoDB Local.

Usage: `.venv/bin/python -m tools.measure.bench.growth`, or with `--largest 100000` instead of a million.

With `--owners 1000`, the images of the largest table belong to a thousand owners, and one of them reads. With
`--owners 1`, one owner has them all. The other tables are shared.

Two free cores write 700 images per second. A million images need 10 GB of memory. Each read returns equally many images
from each table: the words of the searches are in enough images of the first hundred.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from tqdm import tqdm

from image_pipeline.http.owners import digest
from image_pipeline.models import SHARED
from image_pipeline.storage import clients, keys, records, search_index, table, terms
from tools.local.sample_images import sample_image, store_sample
from tools.measure.bench import storage

_SMALLEST, _MIDDLE, _LARGEST = 100, 10_000, 1_000_000
_PAGE_SIZE = 50
_ROUNDS = 100
_WARM_UP_READS = 20
# With these, nearly all calls of DynamoDB write as many items as they can.
_BATCH = 50
# This many images are stored like uploads, so that several shards have statistics.
_COUNTED_IMAGES = 50
_WRITERS = 4
_PLOT = Path("docs/growth.png")

# The words in every image, in every second image, and in every second image of the first hundred.
_FREQUENT, _COMMON, _RARE = "photograph", "dog", "zebra"
# Each image has a word of its own, which begins with this. Its letters make no endings that the stemmer removes.
_OWN = "zz"
_OWN_LETTERS = "bcdfghjkmnpqrtvwxz"
_SEARCHES = {
    "search, a frequent word": [_FREQUENT],
    "search, two frequent words": [_FREQUENT, _COMMON],
    "search, a rare word": [_RARE],
    "search, a frequent and a rare word": [_FREQUENT, _RARE],
    "search, a category": ["animal"],
    "search, the beginning of a word": [_FREQUENT[:4]],
    "search, the beginning of a word of each image": [_OWN],
}


def main() -> None:
    """Print and draw the median time of each read at each size, its growth, and what it asks of DynamoDB."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--largest", type=int, default=_LARGEST, metavar="IMAGES", help="in the largest table")
    parser.add_argument("--owners", type=int, default=0, metavar="OWNERS", help="of the images in the largest table")
    arguments = parser.parse_args()
    sizes = (_SMALLEST, _MIDDLE, arguments.largest)
    with storage.dynamodb():
        reads = {}
        for size in sizes:
            storage.create_table(f"images-{size}")
            # DynamoDB Local with several streams gets slower with each record in any of them.
            clients.dynamodb().update_table(
                TableName=os.environ["TABLE_NAME"], StreamSpecification={"StreamEnabled": False}
            )
            owners = [SHARED]
            if size == arguments.largest and arguments.owners:
                owners = [digest("API_KEY", str(each)) for each in range(arguments.owners)]
            reads[size] = _reads(owners[0], _fill(owners, size))
        medians = _milliseconds(reads)
        consumed = _consumed(reads)
    print(f"median of {_ROUNDS} calls in ms; {_PAGE_SIZE} images per page; requests and read units of a call\n")
    print(
        "| read | " + " | ".join(f"{size:,} images" for size in sizes) + " | largest / smallest | smallest | largest |"
    )
    print("|---" * (len(sizes) + 4) + "|")
    for name, times in medians.items():
        print(
            f"| {name} | {' | '.join(f'{taken:.1f}' for taken in times)} | {times[-1] / times[0]:.2f} "
            f"| {consumed[sizes[0], name]} | {consumed[sizes[-1], name]} |"
        )
    if arguments.owners <= 1:
        _draw(sizes, medians)


def _reads(owner: str, image_id: str) -> dict[str, Callable[[], object]]:
    reads: dict[str, Callable[[], object]] = {
        "list": partial(records.newest, owner, _PAGE_SIZE),
        "image": partial(records.get, owner, image_id),
        "statistics": partial(records.statistics, owner),
    }
    for name, words in _SEARCHES.items():
        reads[name] = partial(search_index.search, owner, terms.wanted(" ".join(words)), _PAGE_SIZE, None)
    return reads


def _fill(owners: Sequence[str], images: int) -> str:
    """Write images that belong to the owners in turn, and count some of them. Return the id of one of the first."""
    for _ in range(_COUNTED_IMAGES):
        store_sample(record := replace(sample_image(), owner=owners[0]))
    template = table.find(keys.image(record.image_id))
    assert template is not None
    words = terms.vocabulary(f"{_FREQUENT} {_COMMON} {_RARE}", "")
    table.write_batch([keys.word(owner, term) for owner in owners for term in words])

    def write(number: int) -> None:
        numbers = range(number, number + _BATCH)
        table.write_batch(
            [item for at in numbers for item in _items(template, owners[at % len(owners)], at // len(owners))]
        )

    with (
        ThreadPoolExecutor(_WRITERS) as pool,
        tqdm(total=images, unit="image", unit_scale=True, mininterval=10) as progress,
    ):
        for _ in pool.map(write, range(0, images, _BATCH)):
            progress.update(_BATCH)
    return record.image_id


def _items(template: table.Item, owner: str, number: int) -> list[table.Item]:
    """Return the item of another image, `number` minutes newer, its entries in the index, and its own word."""
    words = [_FREQUENT]
    if number % 2 == 0:
        words += [_COMMON, _RARE] if number < _SMALLEST else [_COMMON]
    own = _own_word(number)
    record = replace(sample_image(minutes=number), caption=" ".join([*words, own]))
    position = keys.listing_position(record)
    changed = {
        **keys.image(record.image_id),
        "image_id": record.image_id,
        "processed_at": record.processed_at.isoformat(timespec="microseconds"),
        "caption": record.caption,
        "owner": owner,
        "listing": keys.listing(owner, keys.listing_shard(record.image_id)),
        "listed_at": position,
    }
    found = terms.of(record.caption)
    entries = [
        {**keys.term(owner, term, position), "image_id": record.image_id, "terms": found, "version": terms.VERSION}
        for term in found
    ]
    return [template | changed, *entries, keys.word(owner, own)]


def _own_word(number: int) -> str:
    """Return a word for a number below 1.8 million. The words of greater numbers are later in the alphabet."""
    base = len(_OWN_LETTERS)
    return _OWN + "".join(_OWN_LETTERS[number // base**place % base] for place in reversed(range(5)))


def _milliseconds(reads: dict[int, dict[str, Callable[[], object]]]) -> dict[str, list[float]]:
    """Return the median time of each read from each table. The tables take turns, so that they meet the same noise."""
    seconds: dict[tuple[str, int], list[float]] = {}
    for _ in tqdm(range(_WARM_UP_READS + _ROUNDS), unit="round", mininterval=10):
        for size, calls in reads.items():
            os.environ["TABLE_NAME"] = f"images-{size}"
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                seconds.setdefault((name, size), []).append(time.perf_counter() - start)
    return {
        name: [statistics.median(seconds[name, size][_WARM_UP_READS:]) * 1000 for size in reads]
        for name in reads[_SMALLEST]
    }


def _consumed(reads: dict[int, dict[str, Callable[[], object]]]) -> dict[tuple[int, str], str]:
    """Return how many requests to DynamoDB each read of each table sends, and how many read units they use."""
    used: list[float] = []
    lock = Lock()

    def ask(params: dict[str, Any], **_: object) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def count(parsed: dict[str, Any], **_: object) -> None:
        capacity = parsed["ConsumedCapacity"]
        with lock:
            used.extend([each["CapacityUnits"] for each in (capacity if isinstance(capacity, list) else [capacity])])

    clients.dynamodb().meta.events.register("provide-client-params.dynamodb", ask)
    clients.dynamodb().meta.events.register("after-call.dynamodb", count)
    consumed = {}
    for size, calls in reads.items():
        os.environ["TABLE_NAME"] = f"images-{size}"
        for name, call in calls.items():
            used.clear()
            call()
            consumed[size, name] = f"{len(used)}, {sum(used):g}"
    return consumed


def _draw(sizes: Sequence[int], medians: dict[str, list[float]]) -> None:
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, times in medians.items():
        axes.plot(sizes, times, marker="o", label=name)
    axes.set(xscale="log", xlabel="Images in the table", ylabel="Milliseconds per read")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False)
    figure.savefig(_PLOT, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()

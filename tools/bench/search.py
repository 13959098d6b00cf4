"""The time of a page of a search among 100,000 images on DynamoDB Local: `.venv/bin/python -m tools.bench.search`."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tqdm import tqdm

from image_pipeline.storage import keys, records, search_index, table, terms
from tools.bench.listing import table_of_images
from tools.image_records import finished, store

_IMAGES = 100_000
_LIMIT = 50
_ROUNDS = 40
_BATCH = 10
# How many images have the word: each of them, every tenth, every 5,000th.
_WORDS = {"photograph": 1, "dog": 10, "zebra": 5_000}
_SEARCHES = {
    "a rare word": ["zebra"],
    "a frequent word": ["photograph"],
    "a frequent and a rare word": ["photograph", "zebra"],
    "two frequent words": ["photograph", "dog"],
}


def main() -> None:
    """Print the median time of the first page of the list and of each search, and the entries that a search reads."""
    with table_of_images(0):
        item = _finished_item()
        for start in tqdm(range(0, _IMAGES, _BATCH), unit_scale=_BATCH, unit="image", mininterval=10):
            table.write_batch([found for number in range(start, start + _BATCH) for found in _items(item, number)])
        listed = _milliseconds(partial(records.newest, _LIMIT))
        print(f"{_LIMIT} of {_IMAGES:,} images, median of {_ROUNDS}\na page of the list: {listed:.1f} ms")
        for name, words in _SEARCHES.items():
            stems = [terms.of(word)[0] for word in words]
            taken = _milliseconds(partial(search_index.search, stems, _LIMIT, None))
            print(f"{name}: {taken:.1f} ms, {taken / listed:.2f} of the list")


def _finished_item() -> table.Item:
    """Return the item of an image as an upload stores it."""
    record = finished()
    store(record)
    item = table.find(keys.image(record.image_id))
    assert item is not None
    return item


def _items(item: table.Item, number: int) -> list[table.Item]:
    """Return the item of another image, `number` minutes newer, and its entries in the index."""
    words = [word for word, distance in _WORDS.items() if number % distance == 0]
    record = replace(finished(minutes=number), caption=" ".join(words))
    position = keys.listing_position(record)
    changed = {
        **keys.image(record.image_id),
        "image_id": record.image_id,
        "processed_at": record.processed_at.isoformat(timespec="microseconds"),
        "caption": record.caption,
        "listing": keys.listing(keys.listing_shard(record.image_id)),
        "listed_at": position,
    }
    found = terms.of(record.caption)
    entries = [{**keys.term(term, position), "image_id": record.image_id, "terms": found} for term in found]
    return [item | changed, *entries]


def _milliseconds(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1000


if __name__ == "__main__":
    main()

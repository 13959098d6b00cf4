"""The search index: one entry per image and term of its caption and file name. Each owner has entries of its own.

An inventory item per image names its entries. It is written before them, so no entry is forgotten when the image
changes or is deleted. The next update writes them again and marks the inventory as complete. Further updates then write
nothing. The vocabulary follows the entries.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import Any

from image_pipeline.errors import ImageNotFoundError
from image_pipeline.models import SHARED, ImageRecord, UnfinishedImage
from image_pipeline.storage import clients, keys, records, table, terms, vocabulary
from image_pipeline.storage.records import Page
from image_pipeline.storage.terms import Choice, Wanted
from image_pipeline.threads import ThreadPool

# A search reads at most this many entries.
MAX_READS = 400
# How many words are compared to find the rarest, and how many terms these may have.
_MAX_COMPARED_WORDS = 8
_MAX_COMPARED_TERMS = 32


def update(image_id: str, *, rebuild: bool = False) -> bool:
    """Make the index agree with the image, or remove the image from it if it is deleted or not finished.

    Return whether the image exists, in any state. May be repeated. `rebuild` writes all entries, also those that the
    inventory lists. Raises StorageError.
    """
    key = keys.inventory(image_id)
    old = table.find(key) or _described(None)
    try:
        image = records.find(None, image_id)
    except ImageNotFoundError:
        image = None
    new = _described(image)
    if old == {**key, **new} and not rebuild:
        return image is not None
    owner = new.get("owner", SHARED)
    if old["terms"] and old.get("owner", SHARED) != owner:
        _remove(key, old)
        old = _described(None)
    written = set(new["terms"])
    removed = set(_stored(old)) - written
    named = {**key, **new, "terms": sorted(written | removed), "is_complete": False}
    is_named = old == named
    if written and not is_named:
        table.write_batch([named])
    entry = {"image_id": image_id, "terms": new["terms"], "version": terms.VERSION}
    entries = [{**keys.term(owner, term, new["position"]), **entry} for term in new["terms"]]
    table.write_batch(entries, [keys.term(owner, term, old["position"]) for term in sorted(removed)])
    vocabulary.remove(owner, sorted(removed))
    if isinstance(image, ImageRecord):
        vocabulary.add(owner, terms.vocabulary(image.caption, image.original_name))
    # A new image saves this write. Its events rarely come twice, and then its entries are written twice.
    if written and (is_named or removed):
        table.write_batch([{**key, **new}])
    elif old["terms"] and not written:
        table.write_batch([], [key])
    return image is not None


def search(owner: str, wanted: Wanted, limit: int, before: str | None) -> Page:
    """Return up to `limit` images of an owner that fit, newest first, from the listing position `before` on.

    If no image has the last word, it is the beginning of a word. The first entries of up to 8 words are read at the
    same time. The word whose entries reach back the furthest is the rarest. The search continues with its entries, up
    to MAX_READS in all. If that is not enough for a page, the page is shorter, and the next page continues. Raises
    StorageError.
    """
    clients.dynamodb()
    wanted = _completed(owner, wanted)
    if () in wanted.choices:
        return Page([], None)
    compared = _compared(wanted.all_choices)
    compared_terms = list(dict.fromkeys(chain(*compared)))
    responses = dict(
        zip(
            compared_terms,
            _read(owner, compared_terms, min(limit + 1, MAX_READS // len(compared_terms)), before),
            strict=True,
        )
    )
    reads = sum(response["ScannedCount"] for response in responses.values())
    merged = {choice: _merged([responses[term] for term in choice]) for choice in compared}
    rarest = min(merged, key=lambda choice: merged[choice][1] or "")
    entries, end = merged[rarest]
    found = _fitting(entries, wanted)
    others = [choice for choice in wanted.all_choices if choice != rarest]
    while end and len(found) <= limit and reads < MAX_READS:
        at_once = max(1, (MAX_READS - reads) // len(rarest))
        following = _read(owner, rarest, at_once, end, others)
        reads += sum(response["ScannedCount"] for response in following)
        entries, end = _merged(following)
        found += _fitting(entries, wanted)
    page = found[:limit]
    if len(found) > limit:
        end = page[-1]["sk"]
    images = records.find_all(owner, [entry["image_id"] for entry in page]).values()
    return Page([image for image in images if isinstance(image, ImageRecord)], end)


def _completed(owner: str, wanted: Wanted) -> Wanted:
    """Return a search for the words that the last word begins, or the same search if an image has the last word."""
    last = wanted.last
    if last is None or any(response["Items"] for response in _read(owner, last.any_choice, 1, None)):
        return wanted
    return wanted.completed(
        last, chain.from_iterable(vocabulary.beginning_with(owner, beginning) for beginning in last.beginnings)
    )


def _compared(choices: Sequence[Choice]) -> list[Choice]:
    """Return the first choices, up to a number of terms."""
    ends = accumulate(map(len, choices[:_MAX_COMPARED_WORDS]))
    return [choice for choice, end in zip(choices, ends, strict=False) if end <= _MAX_COMPARED_TERMS]


def _fitting(entries: Iterable[table.Item], wanted: Wanted) -> list[table.Item]:
    return [entry for entry in entries if wanted.fits(entry["terms"], entry.get("version"))]


def _merged(responses: Sequence[Any]) -> tuple[list[table.Item], str | None]:
    """Return the entries of several terms, newest first, down to the position where the first of the responses ends.

    An image with several of the terms has one entry. The position is None if there are no more entries.
    """
    end = max(filter(None, map(_last_position, responses)), default=None)
    read = [table.deserialize(item) for response in responses for item in response["Items"]]
    entries = {entry["sk"]: entry for entry in read if end is None or entry["sk"] >= end}
    return [entries[position] for position in sorted(entries, reverse=True)], end


def _read(owner: str, terms: Sequence[str], reads: int, before: str | None, others: Sequence[Choice] = ()) -> list[Any]:
    """Read entries of each term at the same time."""
    with ThreadPool(len(terms), thread_name_prefix="search") as pool:
        return list(pool.map(lambda term: _entries(keys.term(owner, term, "")["pk"], reads, before, others), terms))


def _described(image: ImageRecord | UnfinishedImage | None) -> dict[str, Any]:
    """Return what a complete inventory of the image says. Only finished images have entries."""
    if not isinstance(image, ImageRecord):
        return {"terms": [], "position": "", "version": terms.VERSION, "is_complete": True}
    described = {
        "terms": sorted(terms.of(image.caption, image.original_name)),
        "position": keys.listing_position(image),
        "version": terms.VERSION,
        "is_complete": True,
    }
    return described if image.owner == SHARED else described | {"owner": image.owner}


def _stored(inventory: table.Item) -> list[str]:
    """Return the terms of an inventory that have entries. An older version named terms that are too long for a key."""
    owner = inventory.get("owner", SHARED)
    return [term for term in inventory["terms"] if len(keys.term(owner, term, "")["pk"].encode()) <= keys.MAX_BYTES]


def _remove(key: keys.ItemKey, inventory: table.Item) -> None:
    """Remove all entries of an image, and then its inventory: it has another owner now."""
    owner, stored = inventory.get("owner", SHARED), sorted(_stored(inventory))
    table.write_batch([], [keys.term(owner, term, inventory["position"]) for term in stored])
    vocabulary.remove(owner, stored)
    table.write_batch([], [key])


def _entries(partition: str, reads: int, before: str | None, others: Sequence[Choice]) -> Any:  # noqa: ANN401 - of boto3
    """Read entries of a term, newest first, and return those that have a term of each of `others` as well."""
    condition, values = "pk = :partition", {":partition": partition}
    if before is not None:
        condition, values = f"{condition} AND sk < :before", values | {":before": before}
    arguments: dict[str, Any] = {"ScanIndexForward": False, "Limit": reads}
    if others:
        names = {other: f":{at}" for at, other in enumerate(dict.fromkeys(chain(*others)))}
        values |= {name: other for other, name in names.items()}
        has_one = (" OR ".join(f"contains(terms, {names[other]})" for other in choice) for choice in others)
        arguments["FilterExpression"] = " AND ".join(f"({condition})" for condition in has_one)
    return table.query(condition, values, **arguments)


def _last_position(response: Any) -> str | None:  # noqa: ANN401 - a response of boto3
    """Return the position of the last entry that was read, or None if there are no more."""
    last: dict[str, Any] | None = response.get("LastEvaluatedKey")
    return table.deserialize(last)["sk"] if last else None

"""The search index: one entry per image and term of its caption and file name.

An inventory item per image names its entries. It is written before them, so no entry is forgotten when the image
changes or is deleted. The next update writes them again and marks the inventory as complete. Further updates then write
nothing.
"""

from collections.abc import Sequence
from typing import Any

from image_pipeline.errors import ImageNotFoundError
from image_pipeline.models import ImageRecord, UnfinishedImage
from image_pipeline.storage import clients, keys, records, table, terms
from image_pipeline.storage.records import Page
from image_pipeline.threads import ThreadPool

# A search reads at most this many entries.
MAX_READS = 500
_READS_AT_ONCE = 500
# How many terms are compared to find the rarest.
_MAX_COMPARED_TERMS = 8


def update(image_id: str, *, rebuild: bool = False) -> bool:
    """Make the index agree with the image, or remove the image from it if it is deleted or not finished.

    Return whether the image exists, in any state. May be repeated. `rebuild` writes all entries, also those that the
    inventory lists. Raises StorageError.
    """
    key = keys.inventory(image_id)
    old = table.find(key) or _described(None)
    try:
        image = records.find(image_id)
    except ImageNotFoundError:
        image = None
    new = _described(image)
    if old == {**key, **new} and not rebuild:
        return image is not None
    written = set(new["terms"])
    # An older version named terms that are too long for a key. They have no entries.
    stored = {term for term in old["terms"] if len(keys.term(term, "")["pk"].encode()) <= keys.MAX_BYTES}
    removed = stored - written
    named = {**key, **new, "terms": sorted(written | removed), "is_complete": False}
    is_named = old == named
    if written and not is_named:
        table.write_batch([named])
    entries = [
        {**keys.term(term, new["position"]), "image_id": image_id, "terms": new["terms"]} for term in new["terms"]
    ]
    table.write_batch(entries, [keys.term(term, old["position"]) for term in sorted(removed)])
    # A new image saves this write. Its events rarely come twice, and then its entries are written twice.
    if written and (is_named or removed):
        table.write_batch([{**key, **new}])
    elif old["terms"] and not written:
        table.write_batch([], [key])
    return image is not None


def search(wanted: Sequence[str], limit: int, before: str | None) -> Page:
    """Return up to `limit` images that have all terms, newest first, from the listing position `before` on.

    The first entries of up to 8 terms are read at the same time. The term whose entries reach back the furthest is the
    rarest. The search continues with its entries, up to MAX_READS in all. If that is not enough for a page, the page
    is shorter, and the next page continues. Raises StorageError.
    """
    clients.dynamodb()
    compared = wanted[:_MAX_COMPARED_TERMS]
    first = min(limit + 1, MAX_READS // len(compared))
    with ThreadPool(len(compared), thread_name_prefix="search") as pool:
        responses = dict(zip(compared, pool.map(lambda term: _entries(term, first, before), compared), strict=True))
    reads = sum(response["ScannedCount"] for response in responses.values())
    rarest = min(responses, key=lambda term: _last_position(responses[term]) or "")
    response, others = responses[rarest], [term for term in wanted if term != rarest]
    found = [entry for entry in map(table.deserialize, response["Items"]) if set(others) <= set(entry["terms"])]
    while (end := _last_position(response)) and len(found) <= limit and reads < MAX_READS:
        response = _entries(rarest, min(_READS_AT_ONCE, MAX_READS - reads), end, others)
        reads += response["ScannedCount"]
        found += map(table.deserialize, response["Items"])
    page = found[:limit]
    if len(found) > limit:
        end = page[-1]["sk"]
    images = records.find_all([entry["image_id"] for entry in page]).values()
    return Page([image for image in images if isinstance(image, ImageRecord)], end)


def _described(image: ImageRecord | UnfinishedImage | None) -> dict[str, Any]:
    """Return what a complete inventory of the image says. Only finished images have entries."""
    if not isinstance(image, ImageRecord):
        return {"terms": [], "position": "", "is_complete": True}
    return {
        "terms": sorted(terms.of(image.caption, image.original_name)),
        "position": keys.listing_position(image),
        "is_complete": True,
    }


def _entries(term: str, reads: int, before: str | None, others: Sequence[str] = ()) -> Any:  # noqa: ANN401 - of boto3
    """Read entries of a term, newest first, and return those that have `others` as well."""
    condition, values = "pk = :term", {":term": keys.term(term, "")["pk"]}
    if before is not None:
        condition, values = f"{condition} AND sk < :before", values | {":before": before}
    arguments: dict[str, Any] = {"ScanIndexForward": False, "Limit": reads}
    if others:
        arguments["FilterExpression"] = " AND ".join(f"contains(terms, :{at})" for at in range(len(others)))
        values |= {f":{at}": term for at, term in enumerate(others)}
    return table.query(condition, values, **arguments)


def _last_position(response: Any) -> str | None:  # noqa: ANN401 - a response of boto3
    """Return the position of the last entry that was read, or None if there are no more."""
    last: dict[str, Any] | None = response.get("LastEvaluatedKey")
    return table.deserialize(last)["sk"] if last else None

"""The vocabulary: one item per term that images of an owner have. It completes the last word of a search.

An item goes when its term has no entries in the index any more. Each update first changes entries, and then compares
the items with the entries. Whoever changes an item compares again. So two updates at the same time cannot
leave a wrong item, whatever their order.
"""

from collections.abc import Sequence

from image_pipeline.errors import StorageError
from image_pipeline.storage import keys, table

# One read unit has this many words of usual length.
_MAX_READ = 100
_MAX_TRIES = 10


def beginning_with(owner: str, beginning: str) -> list[str]:
    """Return terms that begin with a text. Terms without digits come first, then shorter ones. Raises StorageError.

    The time does not depend on the number of terms: of many, it returns those that are first in the alphabet.
    """
    values = {":beginning": beginning}
    found: list[str] = []
    for partition in dict.fromkeys([keys.words(owner, beginning), keys.words(owner, f"{beginning}0")]):
        page = table.query(
            "pk = :partition AND begins_with(sk, :beginning)", values | {":partition": partition}, Limit=_MAX_READ
        )
        found += sorted((table.deserialize(item)["sk"] for item in page["Items"]), key=lambda term: (len(term), term))
    return found


def add(owner: str, terms: Sequence[str]) -> None:
    """Add terms of an image whose entries are written. Raises StorageError."""
    new = sorted(missing(owner, terms))
    table.write_batch([keys.word(owner, term) for term in new])
    # The image may have gone meanwhile.
    _settle(owner, new, set(new))


def remove(owner: str, terms: Sequence[str]) -> set[str]:
    """Remove those terms that have no entries any more, and return them. Raises StorageError."""
    return _settle(owner, terms, set())


def missing(owner: str, terms: Sequence[str]) -> set[str]:
    """Return those terms that the vocabulary lacks. Raises StorageError."""
    return set(terms) - _known(owner, terms)


def _settle(owner: str, terms: Sequence[str], changed: set[str]) -> set[str]:
    """Make the items of terms agree with their entries, and return the terms that were removed.

    Only items that this update has `changed` are added.
    """
    wrong, removed = list(terms), set[str]()
    for _ in range(_MAX_TRIES):
        have_entries = {term for term in wrong if _has_entries(owner, term)}
        known = _known(owner, wrong)
        gone, lacking = known - have_entries, (have_entries - known) & changed
        wrong = sorted(gone | lacking)
        if not wrong:
            return removed
        table.write_batch(
            [keys.word(owner, term) for term in sorted(lacking)], [keys.word(owner, term) for term in sorted(gone)]
        )
        changed = changed | gone
        removed = (removed | gone) - lacking
    raise StorageError


def _known(owner: str, terms: Sequence[str]) -> set[str]:
    return {item["sk"] for item in table.find_all([keys.word(owner, term) for term in terms])} if terms else set()


def _has_entries(owner: str, term: str) -> bool:
    response = table.query("pk = :term", {":term": keys.term(owner, term, "")["pk"]}, Limit=1, ConsistentRead=True)
    return bool(response["Items"])

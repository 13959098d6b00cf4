"""Searches for what a caption means: 200 words over 100 captions of everyday photographs.

captions.tsv has the captions, and what else a person would call what is on each of them. The captions and these words
were written before the table of meanings. Half of the searches are held back: the table was tuned with the others.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean
from zlib import crc32

import pytest

from image_pipeline.storage import meanings, terms
from tools.template import ROOT

SEARCHES = 200
MIN_RECALL = 0.85
TABLE = Path(meanings.__file__).with_name("meanings.tsv")


def captions() -> dict[str, set[str]]:
    """Return the words that should find each caption: its own, and what else it is called."""
    lines = (ROOT / "tests" / "search" / "captions.tsv").read_text().splitlines()
    return {caption: {*caption.split(), *called.split()} for caption, called in (line.split("\t") for line in lines)}


def searches() -> list[str]:
    """Return what captions are called, and then words of the captions, 200 in all with different stems."""
    own = {word for caption in captions() for word in caption.split()}
    called = {word for found in captions().values() for word in found} - own
    ordered = [*sorted(called), *sorted(own, key=lambda word: crc32(word.encode()))]
    by_stem = {exact(word): word for word in reversed(ordered) if exact(word)}
    return [word for word in ordered if word in by_stem.values()][:SEARCHES]


def exact(word: str) -> str:
    """Return the stem of a word, or an empty text for a word that is too common."""
    return next(iter(terms.of("", word)), "")


def figures(chosen: Iterable[str], finds: Callable[[str, str], bool]) -> tuple[float, float]:
    """Return the mean recall and the mean precision."""
    recalls, precisions = [], []
    for search in chosen:
        right = {caption for caption, words in captions().items() if exact(search) in map(exact, words)}
        found = {caption for caption in captions() if finds(search, caption)}
        recalls.append(len(found & right) / len(right))
        precisions.append(len(found & right) / len(found) if found else 1)
    return mean(recalls), mean(precisions)


def finds(search: str, caption: str) -> bool:
    return terms.wanted(search).fits(terms.of(caption), terms.VERSION)


def finds_exactly(search: str, caption: str) -> bool:
    """As before there was a table."""
    return exact(search) in map(exact, caption.split())


def is_held_back(search: str) -> bool:
    return crc32(search.encode()) % 2 == 0


def test_searches_find_what_captions_mean() -> None:
    held_back = [search for search in searches() if is_held_back(search)]
    assert len(searches()) == SEARCHES
    assert 90 <= len(held_back) <= 110
    recall, precision = figures(held_back, finds)
    assert recall >= MIN_RECALL
    assert precision >= 0.9
    assert figures(held_back, finds_exactly)[0] < recall - 0.2


@pytest.mark.parametrize(
    ("search", "caption"),
    [
        ("animal", "two dogs"),
        ("pets", "a dog"),
        ("vehicle", "a bus"),
        ("kid", "a boy"),
        ("sofa", "a couch"),
        ("couch", "a sofa"),
        ("food", "a pizza"),
        ("people", "three women"),
        ("bird", "some geese"),
        ("city", "old cities"),
        ("animal", "a bear"),
        ("vehicle", "two trains"),
        ("meal", "a dinner"),
    ],
)
def test_a_category_or_another_word_finds_a_noun(search: str, caption: str) -> None:
    assert finds(search, caption)


@pytest.mark.parametrize(
    ("search", "caption"),
    [
        ("dog", "an animal"),
        ("car", "a vehicle"),
        ("insect", "a flying kite"),
        ("animal", "a young tree"),
        ("person", "a white wall"),
        ("cat", "a dog"),
        ("food", "a beverage"),
        ("tool", "some cutlery"),
    ],
)
def test_a_word_does_not_find_a_category_or_what_is_no_noun(search: str, caption: str) -> None:
    assert not finds(search, caption)


def test_no_drink_is_food() -> None:
    meanings_of = [line.split("\t")[2].split() for line in TABLE.read_text(encoding="ascii").splitlines()]
    assert [found for found in meanings_of if {"drink", "food"} <= set(found)] == []


def test_names_of_files_have_only_their_words() -> None:
    assert terms.of("", "my dog.png") == ["my", "dog", "png"]


def test_a_caption_adds_at_most_8_terms() -> None:
    caption = "a dog and a cat in a car with a pizza on a sofa in a house near a tree and a boy with a guitar"
    assert len(terms.of(caption)) == 10 + 8
    assert len(terms.of(caption)) == len(set(terms.of(caption)))


def test_the_table_has_at_most_a_megabyte_and_its_licence() -> None:
    assert TABLE.stat().st_size <= 1_000_000
    assert "Princeton University" in TABLE.with_name("meanings-license.txt").read_text()
    lines = [line.split("\t") for line in TABLE.read_text(encoding="ascii").splitlines()]
    assert [noun for noun, _, _ in lines] == sorted({noun for noun, _, _ in lines})

"""What nouns mean: the word with the same meaning that is most frequent, and categories. A dog is an animal and a pet.

The table is made from WordNet 3.0 by `tools/meanings.py`. Its licence is in meanings-license.txt.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def of(words: Iterable[str]) -> list[str]:
    """Return the terms of what words mean, in the order of the words. A term of the word itself may be among them."""
    return list(dict.fromkeys(term for word in words for term in _meanings(word)))


def same(words: Iterable[str]) -> list[str]:
    """Return the terms of the most frequent words with the same meanings. Images with these words have them, too."""
    return [term for word in words for term in _meanings(word)[:1]]


def _meanings(word: str) -> tuple[str, ...]:
    """Return what the table has for a word, or for the noun of which it is the plural."""
    nouns = (
        word,
        word.removesuffix("s"),
        word.removesuffix("es"),
        re.sub("ies$", "y", word),
        re.sub("men$", "man", word),
    )
    return next((_table()[noun] for noun in nouns if noun in _table()), ())


@cache
def _table() -> dict[str, tuple[str, ...]]:
    """Return the term with the same meaning, and the terms of the categories, of each noun. It takes 20 ms."""
    lines = Path(__file__).with_name("meanings.tsv").read_text(encoding="ascii").splitlines()
    rows = (line.split("\t") for line in lines)
    return {noun: (common, *categories.split()) for noun, common, categories in rows}

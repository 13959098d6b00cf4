"""Search terms: the stems of the words in a text. "Dogs, running" has the terms "dog" and "run"."""

import re
from itertools import accumulate
from unicodedata import normalize

_WORD = re.compile(r"[^\W_]+")
# These words are in so many captions that a search for them is useless.
_TOO_COMMON = {
    *("a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "is", "it", "its", "of", "on", "or", "that"),
    *("the", "there", "this", "to", "with"),
}
# All terms of an image are in each of its entries. With these limits an image has at most 50 entries, and each costs
# one write unit.
_MAX_TERMS = 50
_MAX_BYTES = 700
# A term is a part of a key, which may have 2,048 bytes. NFKC makes up to 18 bytes of one character.
_MAX_TERM_BYTES = 256


def of(*texts: str) -> list[str]:
    """Return the different terms of texts, in their order, and at most 50. Words that are too common are left out.

    A longer word than 256 bytes has the term of its beginning. Terms after the first 700 bytes are left out.
    """
    # This import takes 17 ms, and only searches need it.
    from snowballstemmer.english_stemmer import EnglishStemmer  # noqa: PLC0415

    # A stemmer of its own, because several threads cannot use the same.
    stemmer = EnglishStemmer()
    words = (word for text in texts for word in _WORD.findall(normalize("NFKC", text).casefold()))
    terms = dict.fromkeys(_shortened(stemmer.stemWord(word)) for word in words if word not in _TOO_COMMON)
    ends = accumulate(len(term.encode()) for term in terms)
    return [term for term, end in zip(terms, ends, strict=True) if end <= _MAX_BYTES][:_MAX_TERMS]


def _shortened(term: str) -> str:
    return term.encode()[:_MAX_TERM_BYTES].decode(errors="ignore")

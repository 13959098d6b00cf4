"""Search terms: the stems of the words in a text. "Dogs, running" has the terms "dog" and "run"."""

import re
from unicodedata import normalize

_WORD = re.compile(r"[^\W_]+")
# These words are in so many captions that a search for them is useless.
_TOO_COMMON = {
    *("a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "is", "it", "its", "of", "on", "or", "that"),
    *("the", "there", "this", "to", "with"),
}
_MAX_TERMS = 100


def of(*texts: str) -> list[str]:
    """Return the different terms of texts, in their order, and at most 100. Words that are too common are left out."""
    # This import takes 17 ms, and only searches need it.
    from snowballstemmer.english_stemmer import EnglishStemmer  # noqa: PLC0415

    # A stemmer of its own, because several threads cannot use the same.
    stemmer = EnglishStemmer()
    words = (word for text in texts for word in _WORD.findall(normalize("NFKC", text).casefold()))
    terms = dict.fromkeys(stemmer.stemWord(word) for word in words if word not in _TOO_COMMON)
    return list(terms)[:_MAX_TERMS]

"""Search terms: the stems of the words in a text. "Dogs, running" has the terms "dog" and "run"."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING
from unicodedata import normalize

from image_pipeline.storage import meanings, words

if TYPE_CHECKING:
    from snowballstemmer.english_stemmer import EnglishStemmer

# The rules of this module. Entries of the index with other rules, or without a version, are from an older version.
VERSION = 2

# These words are in so many captions that a search for them is useless.
_TOO_COMMON = {
    *("a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "is", "it", "its", "of", "on", "or", "that"),
    *("the", "there", "this", "to", "with"),
}
# All terms of an image are in each of its entries. With these limits an image has at most 30 entries, and each costs
# one write unit.
_MAX_TERMS = 30
_MAX_BYTES = 700
# At most this many of the terms are what the caption means.
_MAX_MEANINGS = 8
# A term is a part of a key, which may have 2,048 bytes. NFKC makes up to 18 bytes of one character.
_MAX_TERM_BYTES = 256
_MAX_WANTED_TERMS = 60
# An image adds at most this many terms to the vocabulary.
_MAX_VOCABULARY_TERMS = 10
# A search for the beginning of a word finds images with up to this many terms.
_MAX_COMPLETIONS = 24
# The stem of "running" is "run", which does not begin with "runni". One of these endings makes a whole word of what one
# has typed.
_ENDINGS = ("e", "g", "l", "n", "s", "ng", "ul", "us", "ing")
_FORMER_WORD = re.compile(r"[^\W_]+")

# An image that has one of these terms has the word.
Choice = tuple[str, ...]


@dataclass(frozen=True)
class LastWord:
    """The last word of a search, which may be only the beginning of a word.

    `terms` are those of the whole word. `choice` and `any_choice` are in `Wanted.choices` and `Wanted.all_choices`. The
    vocabulary may have terms with `beginnings`. `stems` are terms of words that it begins, but not their beginning.
    """

    choice: Choice
    any_choice: Choice
    beginnings: tuple[str, ...]
    stems: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What a search looks for: one term of each choice.

    `choices` are for images with the terms of this version. `all_choices` also have the terms of the version before.
    """

    choices: tuple[Choice, ...] = ()
    all_choices: tuple[Choice, ...] = ()
    last: LastWord | None = None

    def fits(self, terms: Iterable[str], version: int | None) -> bool:
        """Tell whether an image with these terms has all words. `version` is that of the rules that made the terms."""
        choices = self.choices if version == VERSION else self.all_choices
        return all(not set(terms).isdisjoint(choice) for choice in choices)

    def completed(self, last: LastWord, terms: Iterable[str]) -> "Wanted":
        """Return the search with any of these terms, or of the stems, in place of the last word.

        The new choice is the first one.
        """
        choice = tuple(dict.fromkeys([*last.stems, *terms]))[:_MAX_COMPLETIONS]
        return Wanted(
            (choice, *(each for each in self.choices if each != last.choice)),
            (choice, *(each for each in self.all_choices if each != last.any_choice)),
        )


def of(caption: str, name: str = "") -> list[str]:
    """Return the different terms of an image, and at most 30: of its words, and of what the caption means.

    Words that are too common are left out. A longer word than 256 bytes has the term of its beginning. Terms after the
    first 700 bytes are left out.
    """
    stemmer = _stemmer()
    # Functions of the version before search for the former terms while a deployment runs.
    former = [term for text in (caption, name) for word in words.of(text) for term in _former(word.raw, stemmer)]
    return _limited([*_stored(caption, stemmer), *_stored(name, stemmer), *_meant(caption, stemmer), *former])


def _stored(text: str, stemmer: "EnglishStemmer") -> list[str]:
    return [term for word in words.of(text) for term in _stems(word.stored, stemmer)]


def _meant(caption: str, stemmer: "EnglishStemmer") -> list[str]:
    """Return the terms of what the nouns of a caption mean, without its own terms."""
    own = set(_stored(caption, stemmer))
    found = meanings.of(form for word in words.of(caption) for form in word.stored)
    return [term for term in found if term not in own][:_MAX_MEANINGS]


def vocabulary(caption: str, name: str) -> list[str]:
    """Return the terms of an image that belong into the vocabulary. A text without spaces needs none."""
    stemmer = _stemmer()
    found = [
        term
        for text in (caption, name)
        for word in words.of(text)
        if word.whole
        for term in _stems(word.stored, stemmer)
    ]
    indexed = set(of(caption, name))
    different = dict.fromkeys([*found, *_meant(caption, stemmer)])
    return [term for term in different if term in indexed][:_MAX_VOCABULARY_TERMS]


def wanted(text: str) -> Wanted:
    """Return what a search looks for. The word "MyDog" finds "mydog" and "my dog". The word "couch" finds "sofa".

    Words after the first 60 terms are left out. So are words that are too common.
    """
    stemmer = _stemmer()
    choices: dict[Choice, None] = {}
    all_choices: dict[Choice, None] = {}
    last = None
    for word in words.of(text):
        last = None
        forms = [word.parts, (word.whole,) if word.whole else ()]
        ways = [_stems(form, stemmer) for form in forms]
        if any(ways):
            same = [meanings.same(form) for form in forms]
            own = list(_choices([*ways, *same]))
            both = list(_choices([*ways, *same, _former(word.raw, stemmer)]))
            choices |= dict.fromkeys(own)
            all_choices |= dict.fromkeys(both)
            last = _last_word(word, own[-1], both[-1], stemmer)
    return Wanted(_bounded(choices), _bounded(all_choices), last)


def _last_word(word: words.Word, choice: Choice, any_choice: Choice, stemmer: "EnglishStemmer") -> LastWord | None:
    """Return what the last word may be the beginning of. Each part of a text without spaces is whole."""
    if word.whole is None:
        return None
    beginnings = tuple(dict.fromkeys(_shortened(form) for form in (word.parts[-1], word.whole)))
    whole = (_shortened(stemmer.stemWord(form + ending)) for form in beginnings for ending in _ENDINGS)
    stems = dict.fromkeys(stem for stem in whole if not stem.startswith(beginnings))
    return LastWord(choice, any_choice, beginnings, tuple(stems))


def _bounded(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    listed = list(choices)
    ends = accumulate(map(len, listed))
    return tuple(choice for choice, end in zip(listed, ends, strict=True) if end <= _MAX_WANTED_TERMS)[:_MAX_TERMS]


def _choices(ways: list[list[str]]) -> Iterator[Choice]:
    """Yield choices that hold for an image with all terms of one of these ways."""
    ways = [way for way in ways if way]
    for at in range(max(map(len, ways), default=0)):
        yield tuple(dict.fromkeys(way[min(at, len(way) - 1)] for way in ways))


def _stems(found: Iterable[str], stemmer: "EnglishStemmer") -> list[str]:
    return [_shortened(stemmer.stemWord(word)) for word in found if word not in _TOO_COMMON]


def _former(raw: str, stemmer: "EnglishStemmer") -> list[str]:
    """Return the terms that the version before made of a word."""
    return _stems(_FORMER_WORD.findall(normalize("NFKC", raw).casefold()), stemmer)


def _limited(terms: Iterable[str]) -> list[str]:
    different = list(dict.fromkeys(terms))
    ends = accumulate(len(term.encode()) for term in different)
    return [term for term, end in zip(different, ends, strict=True) if end <= _MAX_BYTES][:_MAX_TERMS]


def _stemmer() -> "EnglishStemmer":
    """Return a stemmer of its own for each call, because several threads cannot use the same."""
    # This import takes 17 ms, and only searches need it.
    from snowballstemmer.english_stemmer import EnglishStemmer  # noqa: PLC0415

    return EnglishStemmer()


def _shortened(term: str) -> str:
    return term.encode()[:_MAX_TERM_BYTES].decode(errors="ignore")

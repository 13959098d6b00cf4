"""The words of a text, in the form in which they are compared: "Café" and "CAFE" are the same word.

Python has no word boundaries of Unicode. ICU has them, with dictionaries for Chinese, Japanese, Thai, Lao, Khmer and
Burmese. But PyICU must be compiled, and ICU's data is larger than the whole layer. So texts in these scripts become
single letters and pairs of letters.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise, zip_longest
from unicodedata import category, normalize

# Without the joiners inside words, and the selectors of glyphs.
_IGNORED = re.compile("[\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Accents, the points of Hebrew and Arabic, and marks around a letter. The vowel signs of Indian scripts are letters.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
# Letters with a part that Unicode does not take for an accent.
_LETTERS = str.maketrans(
    {
        "\N{LATIN SMALL LETTER DOTLESS I}": "i",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ħ": "h",
        "ł": "l",
        "ŧ": "t",
        "æ": "ae",
        "œ": "oe",
        "ŋ": "ng",
    }
)
# Thai and Lao, Burmese, Khmer, Japanese, Bopomofo, Chinese.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u3096\u3099-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
# With their pairs, these are 27 terms.
_MAX_UNSPACED_LETTERS = 14
# A longer one is an identifier that only looks like words.
_MAX_PARTS = 8


@dataclass(frozen=True)
class Word:
    """A word in the forms in which it is compared.

    The word "MyDog" has the parts "my" and "dog". Most words have one part, the whole. A text without spaces has the
    pairs of its letters as parts, and no whole. `stored` has all forms that the index has. `raw` is the word as it is
    in the text, after NFKC.
    """

    raw: str
    parts: tuple[str, ...]
    whole: str | None
    stored: tuple[str, ...]


def of(text: str) -> Iterator[Word]:
    """Yield the words of a text. Words consist of letters, digits and the marks that belong to them."""
    for is_word, characters in groupby(normalize("NFKC", text), _is_in_word):
        if is_word:
            yield from _words("".join(characters))


def folded(text: str) -> str:
    """Return a text without what does not make another word: case, accents, width, and how it is composed."""
    letters = normalize("NFKC", _IGNORED.sub("", text)).casefold()
    return normalize("NFC", _ACCENTS.sub("", normalize("NFKD", letters)).translate(_LETTERS))


def _is_in_word(character: str) -> bool:
    return category(character)[0] in "LNM" or character in "\u200c\u200d"


def _words(run: str) -> Iterator[Word]:
    for is_unspaced, letters in groupby(_letters(run), lambda letter: bool(_UNSPACED.match(letter))):
        found = list(letters)
        word = _unspaced(found) if is_unspaced else _spaced(found)
        if word.parts:
            yield word


def _letters(run: str) -> list[str]:
    """Return the letters of a run, each with its marks. Marks without a letter are left out."""
    return re.findall(r"[^\W_](?:[\W_])*", run)


def _unspaced(letters: list[str]) -> Word:
    singles = [letter for letter in map(folded, letters) if letter][:_MAX_UNSPACED_LETTERS]
    pairs = ["".join(pair) for pair in pairwise(singles)]
    # A cut of the terms loses the end of the text.
    stored = [form for both in zip_longest(singles, pairs) for form in both if form]
    return Word("".join(letters), tuple(pairs or singles), None, tuple(stored))


def _spaced(letters: list[str]) -> Word:
    raw = "".join(letters)
    whole = folded(raw)
    if not whole:
        return Word(raw, (), None, ())
    parts = tuple(filter(None, map(folded, _parts(letters))))
    return Word(raw, parts, whole, tuple(dict.fromkeys([*parts, whole])))


def _parts(letters: list[str]) -> list[str]:
    """Split a word at its inner borders: "MyDog2024" has three parts.

    A word with several numbers and a part of one character is an identifier, such as "8b1c". It has one part.
    """
    parts = [letters[0]]
    for at in range(1, len(letters)):
        if _is_border(letters, at):
            parts.append("")
        parts[-1] += letters[at]
    numbers = [part for part in parts if _is_digit(part)]
    is_identifier = len(parts) > _MAX_PARTS or (len(numbers) > 1 and min(map(len, parts)) == 1)
    return ["".join(parts)] if is_identifier else parts


def _is_border(letters: list[str], at: int) -> bool:
    before, here = letters[at - 1], letters[at]
    if _is_digit(before) != _is_digit(here):
        return True
    if not here[0].isupper():
        return False
    # In "HTMLPage", the border is before the P. "JPEGs" has none.
    after = letters[at + 1 : at + 3]
    return before[0].islower() or (before[0].isupper() and len(after) > 1 and all(each[0].islower() for each in after))


def _is_digit(letter: str) -> bool:
    return category(letter[0])[0] == "N"

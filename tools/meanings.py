"""Make the table of what nouns mean: `python -m tools.meanings FOLDER`.

FOLDER has the files of WordNet 3.0, such as /usr/share/wordnet of Debian's package wordnet-base. The table has a line
per noun: the noun, the stem of the most frequent word with the same meaning, and the stems of its categories. Only the
first sense of a noun counts, because captions have everyday words. Names of persons and places are left out, and words
that are mostly adjectives. Words that are mostly verbs, such as "bear" and "train", are only there with a category:
captions say "standing" rather than "stand".
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snowballstemmer.english_stemmer import EnglishStemmer

# A noun in a category also has the next more general word, if WordNet's texts have it as often as this.
_MIN_GENERAL_COUNT = 10
TABLE = Path("layers/pipeline/image_pipeline/storage/meanings.tsv")
# Synsets by a word and the number of its sense, and what a person types to find them.
_CATEGORIES = {
    ("animal", 1): "animal",
    ("bird", 1): "bird",
    ("fish", 1): "fish",
    ("insect", 1): "insect",
    ("dog", 1): "dog pet",
    ("cat", 1): "cat pet",
    ("rodent", 1): "rodent",
    ("hamster", 1): "pet",
    ("goldfish", 1): "pet",
    ("parrot", 1): "pet",
    ("kitten", 1): "cat pet",
    ("bovine", 1): "cattle",
    ("person", 1): "person",
    ("people", 1): "person",
    ("child", 1): "child",
    ("male_child", 1): "child",
    ("female_child", 1): "child",
    ("baby", 1): "child",
    ("athlete", 1): "sport",
    ("contestant", 1): "sport",
    ("sport", 1): "sport",
    ("conveyance", 3): "vehicle",
    ("car", 1): "car",
    ("ship", 1): "ship",
    ("aircraft", 1): "aircraft",
    ("vessel", 2): "boat",
    ("motorcycle", 1): "bike",
    ("food", 1): "food",
    ("food", 2): "food",
    ("edible_fruit", 1): "fruit food",
    ("berry", 1): "berry",
    ("vegetable", 1): "vegetable food",
    ("dessert", 1): "dessert",
    ("cake", 3): "dessert",
    ("pastry", 2): "pastry",
    ("seafood", 1): "seafood fish",
    ("beverage", 1): "drink",
    ("alcohol", 1): "alcohol",
    ("furniture", 1): "furniture",
    ("shelf", 1): "furniture",
    ("bed", 1): "bed",
    ("seat", 3): "seat",
    ("clothing", 1): "clothing",
    ("necktie", 1): "clothing",
    ("footwear", 2): "footwear clothing",
    ("building", 1): "building",
    ("room", 1): "room",
    ("tower", 1): "tower building",
    ("plant", 2): "plant",
    ("flower", 1): "flower plant",
    ("tree", 1): "tree plant",
    ("body_of_water", 1): "water",
    ("stream", 1): "river",
    ("grassland", 1): "grass field",
    ("barn", 1): "farm",
    ("tractor", 1): "farm",
    ("sculpture", 1): "sculpture",
    ("street", 1): "road",
    ("snow", 2): "winter",
    ("forest", 1): "tree",
    ("bag", 1): "bag",
    ("baggage", 1): "luggage bag",
    ("tool", 1): "tool",
    ("cutlery", 2): "cutlery",
    ("musical_instrument", 1): "instrument music",
    ("toy", 1): "toy",
    ("game", 1): "game",
    ("kitchen_appliance", 1): "appliance",
    ("computer", 1): "computer",
    ("telephone", 1): "phone",
    ("weather", 1): "weather",
}
# Words that mean the same in a photograph, and not in WordNet.
_SAME = {
    "people": "person", "folk": "person", "kid": "child", "beverage": "drink", "guy": "man", "lady": "woman",
    "home": "house", "town": "city", "sea": "ocean", "shore": "beach", "seaside": "beach", "coast": "beach",
    "motorbike": "motorcycle", "telly": "television", "fridge": "refrigerator", "woods": "forest", "cab": "taxi",
    "couch": "sofa", "bike": "bicycle", "burger": "hamburger", "clothes": "clothing", "mobile": "phone", "mug": "cup",
    "officer": "policeman", "railway": "train",
}  # fmt: skip
# The first sense in WordNet is not the one in a photograph.
_SENSES = {
    "plant": 2, "kite": 3, "bat": 5, "chess": 2, "chicken": 2, "snow": 2, "racket": 4, "bike": 2, "table": 2, "girl": 2,
    "cake": 3, "chocolate": 2, "doughnut": 2, "cream": 2, "cutlery": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Synset:
    """A meaning: its words, and the synsets that are more general."""

    words: tuple[str, ...]
    hypernyms: tuple[str, ...]
    is_name: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table. Return the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("folder", type=Path, help="with the files of WordNet 3.0")
    folder = parser.parse_args(arguments).folder
    lines = [f"{noun}\t{same}\t{' '.join(others)}\n" for noun, (same, others) in sorted(_table(folder).items())]
    TABLE.write_text("".join(lines))
    return 0


def _table(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Return the word with the same meaning, which may be the noun itself, and the categories of each noun."""
    synsets = _synsets(folder)
    counts, verbs, adjectives = (_counts(folder, kinds) for kinds in ("1", "2", "345"))
    senses = _senses(folder, synsets)
    categories = {senses[word][number - 1]: names.split() for (word, number), names in _CATEGORIES.items()}
    stem = EnglishStemmer().stemWord

    def most_frequent(synset: str, default: str) -> str:
        return max(_own_words(synset, senses, synsets), key=lambda word: counts[word], default=default)

    found: dict[str, tuple[str, list[str]]] = {}
    for noun in senses:
        synset = senses[noun][_SENSES.get(noun, 1) - 1]
        meant = [name for each in _ancestors(synset, synsets) for name in categories.get(each, [])]
        is_thing = bool(meant) and 0 < counts[noun] >= adjectives[noun]
        is_mostly_noun = counts[noun] >= verbs[noun] + adjectives[noun]
        if not noun.isalpha() or not (is_thing or is_mostly_noun):
            continue
        if meant:
            general = (most_frequent(each, "") for each in synsets[synset].hypernyms)
            meant += [word for word in general if counts[word] >= _MIN_GENERAL_COUNT]
        if "drink" in meant:  # for WordNet, it is food
            meant = [word for word in meant if word != "food"]
        same = _SAME.get(noun) or most_frequent(synset, noun)
        found[noun] = (
            stem(same),
            [each for each in dict.fromkeys(map(stem, meant)) if each not in {stem(noun), stem(same)}],
        )
    found |= {plural: found[noun] for plural, noun in _lines(folder / "noun.exc", 2) if noun in found}
    return {noun: (same, named) for noun, (same, named) in found.items() if named or same != stem(noun)}


def _own_words(synset: str, senses: dict[str, list[str]], synsets: dict[str, Synset]) -> list[str]:
    """Return the words that mostly have this meaning."""
    return [word for word in synsets[synset].words if word.isalpha() and senses.get(word, [""])[0] == synset]


def _ancestors(synset: str, synsets: dict[str, Synset]) -> Iterator[str]:
    seen, waiting = set(), [synset]
    while waiting:
        current = waiting.pop(0)
        if current not in seen:
            seen.add(current)
            yield current
            waiting += synsets[current].hypernyms


def _lines(path: Path, fields: int | None = None) -> Iterator[list[str]]:
    """Yield the fields of each line, or the first ones. The licence at the beginning is indented."""
    with path.open(encoding="ascii") as lines:
        yield from (line.split()[:fields] for line in lines if not line.startswith(" "))


def _senses(folder: Path, synsets: dict[str, Synset]) -> dict[str, list[str]]:
    """Return the offsets of the synsets of each noun, the most frequent first (man wndb)."""
    found = {}
    for lemma, _, count, *rest in _lines(folder / "index.noun"):
        if own := [offset for offset in rest[-int(count) :] if not synsets[offset].is_name]:
            found[lemma] = own
    return found


def _synsets(folder: Path) -> dict[str, Synset]:
    found = {}
    for offset, _, _, count, *rest in _lines(folder / "data.noun"):
        words = int(count, 16)
        pointers = rest[2 * words + 1 :]
        kinds = [(pointers[at], pointers[at + 1]) for at in range(0, 4 * int(rest[2 * words]), 4)]
        hypernyms = tuple(target for kind, target in kinds if kind == "@")
        is_name = any(kind == "@i" for kind, _ in kinds)
        found[offset] = Synset(tuple(word.lower() for word in rest[: 2 * words : 2]), hypernyms, is_name)
    return found


def _counts(folder: Path, kinds: str) -> dict[str, int]:
    """Return how often each word is in the texts that WordNet counted, as a noun (1) or something else (2 to 5)."""
    found: dict[str, int] = defaultdict(int)
    for key, _, count in _lines(folder / "cntlist.rev"):
        lemma, _, rest = key.partition("%")
        if rest[0] in kinds:
            found[lemma] += int(count)
    return found


if __name__ == "__main__":
    sys.exit(main())

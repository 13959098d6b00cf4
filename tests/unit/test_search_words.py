"""Which words of a search are the same as which words of a caption or file name."""

import sys
from dataclasses import replace
from typing import Any
from unicodedata import category, normalize

import pytest

from image_pipeline import settings
from image_pipeline.models import SHARED, ImageRecord
from image_pipeline.storage import clients, keys, records, search_index, table, terms, words
from tools.local.sample_images import sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")


def stored(name: str, caption: str = "a dog", minutes: int = 0) -> ImageRecord:
    record = replace(sample_image(minutes=minutes), caption=caption, original_name=name)
    store_sample(record)
    return record


def indexed(name: str, minutes: int = 0) -> str:
    record = stored(name, minutes=minutes)
    search_index.update(record.image_id)
    return record.image_id


def search(text: str, limit: int = 100, before: str | None = None) -> list[str]:
    found = search_index.search(SHARED, terms.wanted(text), limit, before)
    return [record.image_id for record in found.records]


@pytest.mark.parametrize(
    ("name", "searches"),
    [
        ("café.jpg", ["cafe", "CAFÉ", "Cafe\N{COMBINING ACUTE ACCENT}s"]),
        ("Cafe\N{COMBINING ACUTE ACCENT}.jpg", ["cafe", "café"]),
        ("cafe.jpg", ["café"]),
        ("İstanbul.jpg", ["istanbul", "ISTANBUL", "İstanbul", "\N{LATIN SMALL LETTER DOTLESS I}stanbul"]),
        ("Isparta.jpg", ["\N{LATIN SMALL LETTER DOTLESS I}sparta", "ISPARTA"]),
        ("Straße.jpg", ["strasse", "STRASSE", "straße"]),
        ("ΣΊΣΥΦΟΣ.jpg", ["σίσυφος", "σισυφος", "ΣΙΣΥΦΟΣ"]),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER D}og.jpg", ["dog"]),
        ("\N{HALFWIDTH KATAKANA LETTER TO}\N{HALFWIDTH KATAKANA VOICED SOUND MARK}ア.jpg", ["ドア", "ド"]),
        ("smørrebrød Łódź œuvre.jpg", ["smorrebrod", "lodz", "oeuvre"]),
        ("Việt Nam.jpg", ["viet nam", "việt"]),
        ("ёлка.jpg", ["елка", "ЁЛКА"]),
        ("مُحَمَّد.jpg", ["محمد"]),
        ("東京タワー.png", ["東京", "タワー", "東京タワー", "京", "東京 タワー"]),
        ("我的狗狗.png", ["狗", "我的", "狗狗"]),
        ("ภาษาไทยสวย.png", ["ไทย", "ภาษา", "สวย"]),
        ("ພາສາລາວ.png", ["ລາວ", "ພາສາ"]),
        ("ភាសាខ្មែរ.png", ["ខ្មែរ", "ភាសា"]),
        ("हिन्दी किताब.png", ["हिन्दी", "किताब"]),
        ("사진 한국어.png", ["사진", normalize("NFD", "한국어")]),
        ("MyDog.png", ["my dog", "mydog", "MyDog", "dog my", "mydog.png"]),
        ("my dog.png", ["MyDog"]),
        ("HTMLPage JPEGs.png", ["html", "page", "htmlpage", "jpegs"]),
        ("Beach2024.png", ["beach", "2024", "beach2024", "BEACH 2024"]),
        ("photo1.jpg", ["photo", "photo1", "1"]),
        ("東京2024.png", ["東京", "2024", "東京2024"]),
        ("क्\N{ZERO WIDTH JOINER}ष.png", ["क्ष"]),
        ("❤\N{VARIATION SELECTOR-16} heart.png", ["heart"]),
    ],
)
def test_a_search_finds_what_a_person_would_call_the_same_word(name: str, searches: list[str]) -> None:
    image_id = indexed(name)
    assert {text: search(text) for text in searches} == {text: [image_id] for text in searches}


@pytest.mark.parametrize(
    ("name", "searches"),
    [
        ("東京タワー.png", ["京東", "大阪", "東京大"]),
        ("हिन्दी.png", ["हद", "नहद", "किताब"]),
        ("8b1c-4d5e.png", ["b", "1c", "5e"]),
        ("MyDog.png", ["og", "mydogs2"]),
    ],
)
def test_a_search_finds_no_other_words(name: str, searches: list[str]) -> None:
    indexed(name)
    assert [search(text) for text in searches] == [[] for _ in searches]


def test_every_spelling_of_a_letter_has_one_form() -> None:
    for character in map(chr, range(sys.maxunicode)):
        if category(character)[0] in "LN":
            form = words.folded(character)
            assert words.folded(form) == form
            assert {words.folded(normalize(name, character)) for name in ("NFC", "NFD")} == {form}


def test_a_long_text_without_spaces_is_found_by_its_beginning_and_as_a_whole() -> None:
    name = "".join(chr(0x4E00 + number) for number in range(80))
    image_id = indexed(f"{name}.png")
    assert search(name[8:10]) == search(name) == search(f"{name} dog") == [image_id]
    assert len(table_terms(image_id)) <= 30


def table_terms(image_id: str) -> list[str]:
    inventory = table.find(keys.inventory(image_id))
    assert inventory is not None
    return [*inventory["terms"]]


@pytest.mark.parametrize(
    "text", ["aB1 " * 50, "éa " * 66, "हिन्दी" * 33, "東京 " * 66, "ดี่" * 66, "A1b2" * 50, "é" * 200]
)
def test_dynamodb_accepts_the_filter_of_every_search(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: 4 KB, and 300 operators."""
    filters = []
    query = table.query

    def observed(*arguments: Any, **named: Any) -> Any:
        filters.append(named.get("FilterExpression", ""))
        return query(*arguments, **named)

    monkeypatch.setattr(table, "query", observed)
    monkeypatch.setattr(search_index, "MAX_READS", 8)
    different = " ".join(f"{text}{number}" for number in range(3))[:200]
    for minutes in range(10):
        indexed(f"{different}.png", minutes)
    search_index.search(SHARED, terms.wanted(different), 3, None)
    assert max(len(each) for each in filters) <= 4096
    assert max(each.count("contains") + each.count(" AND ") + each.count(" OR ") for each in filters) <= 300


# Two versions run side by side while a deployment runs, and until `make reindex` has written all entries.


def as_before(name: str, minutes: int = 0) -> str:
    """Index an image as the version before did, and return its id."""
    record = stored(name, minutes=minutes)
    found = {
        "dog": ["dog"],
        "café.jpg": ["dog", "café", "jpg"],
        "東京タワー.jpg": ["dog", "東京タワー", "jpg"],
        "हिन्दी.jpg": ["dog", "ह", "न", "द", "jpg"],
        "MyDog1.jpg": ["dog", "mydog1", "jpg"],
        "İstanbul.jpg": ["dog", "i", "stanbul", "jpg"],
    }[name]
    position = keys.listing_position(record)
    inventory = {"terms": sorted(found), "position": position, "is_complete": True}
    entries = [
        {**keys.term(SHARED, term, position), "image_id": record.image_id, "terms": sorted(found)} for term in found
    ]
    table.write_batch([{**keys.inventory(record.image_id), **inventory}, *entries])
    return record.image_id


OLD_NAMES = ["café.jpg", "東京タワー.jpg", "हिन्दी.jpg", "MyDog1.jpg", "İstanbul.jpg"]


@pytest.mark.parametrize("name", OLD_NAMES)
def test_images_of_both_versions_are_found_in_their_order(name: str) -> None:
    expected = [as_before(name, 2 * at) if at % 2 else indexed(name, 2 * at) for at in range(6)][::-1]
    assert search(name) == search(f"{name} dog") == expected
    found, before, pages = [], None, 0
    while pages == 0 or before:
        page = search_index.search(SHARED, terms.wanted(name), 2, before)
        found += [record.image_id for record in page.records]
        before, pages = page.end, pages + 1
    assert found == expected
    assert pages <= 4


@pytest.mark.parametrize("name", OLD_NAMES)
def test_the_next_update_gives_an_old_image_the_new_terms(name: str) -> None:
    image_id = as_before(name)
    search_index.update(image_id)
    search_index.update(image_id)
    record: ImageRecord = records.get(SHARED, image_id)
    assert table_terms(image_id) == sorted(terms.of(record.caption, name))
    assert search(name) == [image_id]
    records.delete(SHARED, image_id)
    search_index.update(image_id)
    items = clients.dynamodb().scan(TableName=settings.table_name())["Items"]
    assert [item["pk"]["S"] for item in items if item["pk"]["S"].startswith("TERM#")] == []


@pytest.mark.parametrize("name", OLD_NAMES)
def test_the_version_before_finds_new_images(name: str) -> None:
    image_id = as_before(name)
    before = set(table_terms(image_id))
    search_index.update(image_id, rebuild=True)
    assert before <= set(table_terms(image_id))

"""The last word of a search may be the beginning of a word, and the vocabulary has the words of all images."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from image_pipeline.errors import StorageError
from image_pipeline.models import SHARED, CaptionModel
from image_pipeline.storage import clients, keys, records, search_index, table, terms, vocabulary
from tests.stored import table_items
from tools.local.sample_images import sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")


def stored(caption: str, name: str = "x.jpg", minutes: int = 0) -> str:
    record = replace(sample_image(minutes=minutes), caption=caption, original_name=name)
    store_sample(record)
    return record.image_id


def indexed(caption: str, name: str = "x.jpg", minutes: int = 0) -> str:
    image_id = stored(caption, name, minutes)
    search_index.update(image_id)
    return image_id


def recaptioned(image_id: str, caption: str) -> None:
    model = CaptionModel("other", caption, "fp32")
    records.replace_caption(records.get(SHARED, image_id), caption, Decimal(1), model)


def search(text: str, limit: int = 100) -> list[str]:
    found = search_index.search(SHARED, terms.wanted(text), limit, None)
    return [record.image_id for record in found.records]


def known() -> set[str]:
    return {item["sk"] for item in table_items("WORDS#")}


@pytest.mark.parametrize(
    "word", ["photographs", "running", "beautiful", "mountainous", "decorations", "cherries", "café", "Straße", "книга"]
)
def test_each_beginning_of_a_word_finds_it(word: str) -> None:
    image_id = indexed(f"a dog {word}")
    beginnings = [f"dog {word[:end]}" for end in range(1, len(word) + 1)]
    assert {text: search(text) for text in beginnings} == {text: [image_id] for text in beginnings}


@pytest.mark.parametrize("text", ["photogr dog", "pho dog", "bea", "dog photographsx", "photographq"])
def test_only_the_last_word_may_be_a_beginning(text: str) -> None:
    indexed("a dog photographs")
    assert search(text) == []


def test_a_word_that_an_image_has_finds_no_longer_words() -> None:
    car, carpet = indexed("a car", minutes=1), indexed("a carpet", minutes=2)
    assert search("car") == search("CARS") == [car]
    assert search("ca") == [carpet, car]
    assert search("carp") == [carpet]
    records.delete(SHARED, car)
    search_index.update(car)
    assert search("car") == [carpet]


def test_parts_of_names_are_completed() -> None:
    image_id = indexed("a dog", "MyHoliday2024.png")
    for text in ("my hol", "myhol", "MyHol", "MyHoliday20", "holi", "202"):
        assert search(text) == [image_id]


def test_images_with_different_words_come_in_pages_newest_first() -> None:
    words = ["park", "party", "parrot", "parade", "partner"]
    expected = [indexed(f"a {words[at % 5]} with a dog", minutes=at) for at in range(20)][::-1]
    assert search("dog par") == search("par") == expected
    found, before = [], None
    for _ in range(20):
        page = search_index.search(SHARED, terms.wanted("par"), 3, before)
        found += [record.image_id for record in page.records]
        if (before := page.end) is None:
            break
    assert found == expected


def test_many_numbers_do_not_hide_words() -> None:
    inserted = [keys.word(SHARED, f"i{number:04}") for number in range(150)]
    table.write_batch(inserted)
    image_id = indexed("an island")
    assert search("i") == [image_id]
    assert vocabulary.beginning_with(SHARED, "i")[0] == "island"


def test_a_beginning_reads_a_bounded_number_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        indexed(f"a p{chr(97 + number % 26)}{chr(97 + number // 26)}rk", minutes=number)
    reads = []
    query = table.query

    def counted(condition: str, values: dict[str, Any], **arguments: Any) -> Any:
        reads.append(arguments["Limit"])
        return query(condition, values, **arguments)

    monkeypatch.setattr(table, "query", counted)
    monkeypatch.setattr(search_index, "MAX_READS", 48)
    assert search("p", limit=10)
    # To see that no image has this word, to read the vocabulary, and to search.
    assert sum(reads) <= 1 + 2 * 100 + 2 * 48
    assert len(reads) <= 1 + 2 + 2 * 24


# The vocabulary has a term exactly as long as an image has it.


def test_a_term_goes_with_its_last_image() -> None:
    first, second = indexed("a dog on a beach"), indexed("a dog")
    assert known() == {"pet", "anim", "dog", "beach", "x", "jpg"}
    records.delete(SHARED, first)
    search_index.update(first)
    assert known() == {"pet", "anim", "dog", "x", "jpg"}
    recaptioned(second, "a cat")
    search_index.update(second)
    assert known() == {"pet", "anim", "cat", "x", "jpg"}
    records.delete(SHARED, second)
    search_index.update(second)
    assert known() == set()


def test_texts_without_spaces_are_not_in_the_vocabulary() -> None:
    image_ids = [indexed("a dog", "東京タワー.jpg") for _ in range(2)]
    assert known() == {"pet", "anim", "dog", "jpg"}
    records.delete(SHARED, image_ids[0])
    search_index.update(image_ids[0])
    assert known() == {"pet", "anim", "dog", "jpg"}


def test_known_terms_cost_one_read_each(monkeypatch: pytest.MonkeyPatch) -> None:
    indexed("a dog")
    image_id = stored("a dog")
    written: list[table.Item] = []
    write = table.write_batch

    def observed(items: Sequence[table.Item], deleted: Sequence[table.Item] = ()) -> None:
        written.extend([*items, *deleted])
        write(items, deleted)

    monkeypatch.setattr(table, "write_batch", observed)
    search_index.update(image_id)
    assert written
    assert not [item for item in written if item["pk"].startswith("WORDS#")]


@pytest.mark.parametrize("operation", ["batch_write_item", "query", "batch_get_item"])
@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("failing_call", range(8))
def test_an_update_that_dies_is_repeated_until_the_vocabulary_is_right(
    monkeypatch: pytest.MonkeyPatch, operation: str, failing_call: int, *, is_done: bool
) -> None:
    """The call fails before or after DynamoDB has done it."""
    image_id = stored("a dog and a cat")
    call, left = getattr(clients.dynamodb(), operation), 0

    def dying(**arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left != -1:
            return call(**arguments)
        if is_done:
            call(**arguments)
        raise ClientError({"Error": {"Code": "InternalServerError"}}, operation)

    def settled() -> None:
        nonlocal left
        left = failing_call
        try:
            search_index.update(image_id)
        except StorageError:
            search_index.update(image_id)

    monkeypatch.setattr(clients.dynamodb(), operation, dying)
    settled()
    assert known() == {"pet", "anim", "dog", "cat", "x", "jpg"}
    recaptioned(image_id, "a dog and a bird")
    settled()
    assert known() == {"pet", "anim", "dog", "bird", "x", "jpg"}
    records.delete(SHARED, image_id)
    settled()
    assert known() == set()


def test_updates_at_the_same_time_leave_no_wrong_term() -> None:
    """Images with the same word come and go in several threads."""

    def live(_: int) -> None:
        image_id = indexed("a zebra")
        records.delete(SHARED, image_id)
        search_index.update(image_id)

    for is_kept in (True, False):
        kept = indexed("a zebra")
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(live, number) for number in range(8)]
            if not is_kept:
                records.delete(SHARED, kept)
                search_index.update(kept)
        assert [future.result() for future in futures] == [None] * 8
        assert ("zebra" in known()) == is_kept
        if is_kept:
            records.delete(SHARED, kept)
            search_index.update(kept)


@pytest.mark.parametrize("is_coming", [True, False])
@pytest.mark.parametrize("at", range(1, 9))
def test_an_update_between_two_calls_of_another_leaves_no_wrong_term(
    monkeypatch: pytest.MonkeyPatch, at: int, *, is_coming: bool
) -> None:
    """While the index loses an image, it gets or loses another one with the same word."""
    going = indexed("a zebra")
    other = stored("a zebra") if is_coming else indexed("a zebra")
    for image_id in [going] if is_coming else [going, other]:
        records.delete(SHARED, image_id)
    calls = 0

    def interrupted(call: Any) -> Any:
        def between(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                search_index.update(other)
            return call(*arguments, **named)

        return between

    with monkeypatch.context() as patched:
        for name in ("find_all", "query", "write_batch"):
            patched.setattr(table, name, interrupted(getattr(table, name)))
        search_index.update(going)
    search_index.update(other)
    assert ("zebra" in known()) == is_coming

"""The search: its terms, its index, and GET /api/images?q=."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unicodedata import normalize
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from functions.follow_images import app as follow_images
from functions.list_images import app as list_images
from image_pipeline import settings
from image_pipeline.errors import StorageError
from image_pipeline.models import SHARED, CaptionModel, ImageRecord
from image_pipeline.storage import clients, keys, leftovers, records, search_index, table, terms
from tests.events import load_event
from tests.stored import table_items
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")

# DynamoDB's limit for partition keys.
MAX_KEY_BYTES = 2048


def stored(caption: str, name: str = "photo.jpg", minutes: int = 0, image_id: str | None = None) -> str:
    """Store an image, and return its id."""
    record = replace(sample_image(image_id, minutes=minutes), caption=caption, original_name=name)
    store_sample(record)
    return record.image_id


def indexed(caption: str, name: str = "photo.jpg", minutes: int = 0) -> str:
    image_id = stored(caption, name, minutes)
    search_index.update(image_id)
    return image_id


def get(**query: str) -> dict[str, Any]:
    event = load_event("list_images") | {"queryStringParameters": query}
    response = list_images.lambda_handler(event, LocalContext("ListImagesFunction"))
    body: dict[str, Any] = json.loads(response["body"])
    return {**body, "status": response["statusCode"]}


def search(**query: str) -> list[str]:
    """Return the image ids of one page."""
    return list(get(**query).get("content", {}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two dogs running on a beach", ["two", "dog", "run", "beach"]),
        ("the THE The", []),
        ("IMG_2034-final.JPG", ["img", "2034", "final", "jpg"]),
        # The terms of the version before follow.
        ("Zürich Fête \N{FULLWIDTH LATIN SMALL LETTER D}og", ["zurich", "fete", "dog", "zürich", "fête"]),
        ("MyDog2024", ["my", "dog", "2024", "mydog2024"]),
        ("dog's dog dogs", ["dog", "s"]),
        ("日本 🎉", ["日", "日本", "本"]),
        ("", []),
    ],
)
def test_terms_are_the_stems_of_words(text: str, expected: list[str]) -> None:
    assert terms.of("", text) == expected


def test_a_text_has_at_most_30_terms_and_700_bytes_of_them() -> None:
    assert terms.of(" ".join(map(str, range(500)))) == [str(number) for number in range(30)]
    assert terms.of(" ".join(f"{number:0100}" for number in range(10))) == [f"{number:0100}" for number in range(7)]


# NFKC makes 6 characters of it, with 18 bytes.
LONG = "\N{SQUARE KIROMEETORU}"


def test_a_long_word_has_the_term_of_its_beginning() -> None:
    for word in (LONG * 124, "é" * 300, "x" * 300):
        term = terms.of(word)[-1]
        assert 250 < len(term.encode()) <= 256
        assert normalize("NFKC", word).startswith(term)
        assert max(len(term.encode()) for term in terms.of(word)) <= 256
    assert terms.of("x" * 256) == ["x" * 256]


def test_an_image_with_a_long_word_is_found_and_deleted() -> None:
    image_id = indexed("a dog", f"{LONG * 124}.jpg")
    assert search(q=LONG * 124) == search(q=f"dog {LONG * 114}") == [image_id]
    assert max(len(item["pk"].encode()) for item in table_items("TERM#")) <= MAX_KEY_BYTES
    records.delete(SHARED, image_id)
    search_index.update(image_id)
    assert table_items("TERM#") == []


@pytest.fixture
def poisoned() -> str:
    """An image whose inventory and entries an older version wrote, except the entry that DynamoDB refused."""
    image_id = stored("a dog", f"{LONG * 124}.jpg")
    long = normalize("NFKC", LONG * 124)
    record: ImageRecord = records.get(SHARED, image_id)
    position = keys.listing_position(record)
    named = ["dog", "jpg", "x" * 300, long]
    inventory = {"terms": named, "position": position, "is_complete": False}
    entries = [{**keys.term(SHARED, term, position), "image_id": image_id, "terms": named} for term in named[:3]]
    table.write_batch([{**keys.inventory(image_id), **inventory}, *entries])
    with pytest.raises(StorageError):  # as with the older version
        table.write_batch([{**keys.term(SHARED, long, position), "image_id": image_id, "terms": named}])
    return image_id


def test_an_image_that_an_older_version_could_not_index_heals_at_the_next_event(poisoned: str) -> None:
    for _ in range(2):
        assert follow(event_of("follow_images_finished", poisoned)) == []
    assert search(q=LONG * 124) == search(q="dog") == [poisoned]
    assert not [entry for entry in table_items("TERM#") if entry["pk"].endswith("x" * 300)]
    assert sorted(table.find(keys.inventory(poisoned))["terms"]) == sorted(terms.of("a dog", f"{LONG * 124}.jpg"))  # type: ignore[index]


def test_an_image_that_an_older_version_could_not_index_can_be_deleted(poisoned: str) -> None:
    records.delete(SHARED, poisoned)
    assert follow(event_of("follow_images_deleted", poisoned)) == []
    assert table_items("TERM#") == []
    assert table.find(keys.inventory(poisoned)) is None


def test_several_threads_may_make_terms() -> None:
    texts = [f"running dogs {number} photographs beaches happily" * 5 for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(terms.of, texts)) == [terms.of(text) for text in texts]


def test_all_words_must_match_the_caption_or_the_name() -> None:
    beach = indexed("a dog on a beach", "holiday.jpg", 1)
    park = indexed("two dogs in a park", "IMG_1.jpg", 2)
    indexed("a cat", "cat.jpg", 3)
    assert search(q="dog") == [park, beach]
    assert search(q="DOGS beaches") == [beach]
    assert search(q="dog holidays") == [beach]
    assert search(q="dog cat") == []
    assert search(q="the dog in the park") == [park]


def test_a_search_without_a_match_says_so() -> None:
    indexed("a dog")
    body = {"current_status": "success", "data": "No image matches.", "error": None, "status": 200}
    assert get(q="cat") == body


@pytest.mark.parametrize("words", ["", "the a", "!?"])
def test_without_words_that_count_the_list_is_whole(words: str) -> None:
    expected = [indexed("a dog", minutes=minutes) for minutes in range(2)][::-1]
    assert search(q=words) == expected
    page = get(q=words, limit="1")
    assert list(page["content"]) == expected[:1]
    assert "cursor=" in page["next"]


def test_a_search_may_have_many_words_but_not_too_many_characters() -> None:
    numbers = [str(number) for number in range(28)]
    image_id = indexed(" ".join(numbers), minutes=1)
    indexed(" ".join(numbers[:-1]), minutes=2)
    assert search(q=" ".join(numbers)) == [image_id]
    assert get(q="x" * 200)["status"] == 200
    response = get(q="x" * 201)
    assert (response["status"], response["error"]) == (400, "Invalid q. Please use at most 200 characters.")


def test_pages_follow_each_other_without_gaps() -> None:
    expected = [indexed("a dog & a cat", minutes=minutes) for minutes in range(7)][::-1]
    indexed("a bird", minutes=9)
    found: list[str] = []
    query = {"q": "dog cat", "limit": "3"}
    for _ in range(3):
        page = get(**query)
        found += page["content"]
        reference = page.get("next", "")
        query = dict(part.split("=") for part in reference.lstrip("?").split("&")) if reference else {}
        query = {name: value.replace("+", " ") for name, value in query.items()}
    assert found == expected
    assert query == {}


def test_details_stay_on_the_next_page() -> None:
    for minutes in range(2):
        indexed("a dog", minutes=minutes)
    page = get(q="dog", limit="1", details="caption")
    assert page["next"].endswith("&details=caption")
    (image,) = page["content"].values()
    assert image["data"]["caption_details"]["model"] == "demo"


@pytest.fixture
def reads(aws: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:  # noqa: ARG001 - it is needed first
    """The number of entries that each query has read."""
    counts: list[int] = []
    query = clients.dynamodb().query

    def counted(**arguments: Any) -> Any:
        response = query(**arguments)
        counts.append(response["ScannedCount"])
        return response

    monkeypatch.setattr(clients.dynamodb(), "query", counted)
    return counts


def test_a_search_reads_a_bounded_number_of_entries(monkeypatch: pytest.MonkeyPatch, reads: list[int]) -> None:
    monkeypatch.setattr(search_index, "MAX_READS", 10)
    oldest = indexed("a dog and a cat", minutes=0)
    for minutes in range(1, 30):
        indexed("a dog" if minutes % 2 else "a cat", minutes=minutes)
    query_string, pages = {"q": "dog cat", "limit": "2"}, 0
    reads.clear()
    while (page := get(**query_string))["content"] == {}:
        # One of them only tells whether an image has the last word.
        assert 0 < sum(reads) <= 1 + 10
        reads.clear()
        pages += 1
        query_string["cursor"] = page["next"].partition("cursor=")[2]
    assert list(page["content"]) == [oldest]
    assert pages >= 2


def test_the_rarest_word_leads_the_search(reads: list[int]) -> None:
    rare = indexed("a dog with a zebra", minutes=0)
    for minutes in range(1, 40):
        indexed("a dog", minutes=minutes)
    reads.clear()
    assert search(q="dog zebra", limit="5") == [rare]
    assert sum(reads) == 1 + 6 + 1


# The index follows the table.


def event_of(name: str, image_id: str) -> dict[str, Any]:
    event = load_event(name)
    event["Records"][0]["dynamodb"]["Keys"] = table.serialize(keys.image(image_id))
    return event


def follow(event: dict[str, Any]) -> list[Any]:
    """Return the ids of the records that failed."""
    return [*follow_images.lambda_handler(event, LocalContext("FollowImagesFunction"))["batchItemFailures"]]


def test_a_deleted_image_leaves_the_index() -> None:
    image_id = stored("a dog", image_id=IMAGE_ID)
    for _ in range(2):  # a replay changes nothing
        assert follow(event_of("follow_images_finished", image_id)) == []
    assert search(q="dog") == [image_id]
    assert {item["pk"] for item in table_items("TERM#")} == {
        *("TERM#dog", "TERM#pet", "TERM#anim"),
        *("TERM#photo", "TERM#jpg"),
    }
    records.delete(SHARED, image_id)
    assert search(q="dog") == []
    for _ in range(2):
        assert follow(event_of("follow_images_deleted", image_id)) == []
    assert table_items("TERM#") == []
    assert [item["sk"] for item in table_items(f"IMAGE#{image_id}")] == ["IMAGE"]


def test_an_old_event_of_a_deleted_image_adds_nothing() -> None:
    image_id = stored("a dog")
    records.delete(SHARED, image_id)
    assert follow(event_of("follow_images_finished", image_id)) == []
    assert table_items("TERM#") == []


def test_a_new_caption_replaces_the_old_terms() -> None:
    image_id = indexed("a dog")
    record: ImageRecord = records.get(SHARED, image_id)
    records.replace_caption(record, "a cat", Decimal(1), CaptionModel("other", "1", "fp32"))
    assert follow(event_of("follow_images_finished", image_id)) == []
    assert (search(q="dog"), search(q="cat")) == ([], [image_id])


@pytest.mark.parametrize("failing_write", [1, 2, 3])
def test_an_interrupted_update_is_completed_by_the_next(monkeypatch: pytest.MonkeyPatch, failing_write: int) -> None:
    image_id = indexed("a dog")
    records.replace_caption(records.get(SHARED, image_id), "a cat", Decimal(1), CaptionModel("other", "1", "fp32"))
    write, count = clients.dynamodb().batch_write_item, iter(range(1, 100))

    def interrupted(**arguments: Any) -> Any:
        if next(count) == failing_write:
            raise ClientError({"Error": {"Code": "InternalServerError"}}, "BatchWriteItem")
        return write(**arguments)

    monkeypatch.setattr(clients.dynamodb(), "batch_write_item", interrupted)
    with pytest.raises(StorageError):
        search_index.update(image_id)
    search_index.update(image_id)
    assert (search(q="dog"), search(q="cat")) == ([], [image_id])
    assert {item["pk"] for item in table_items("TERM#")} == {
        *("TERM#cat", "TERM#pet", "TERM#anim"),
        *("TERM#photo", "TERM#jpg"),
    }


def test_a_new_image_saves_a_write_and_a_third_update_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = stored("a dog")
    write = Mock(side_effect=clients.dynamodb().batch_write_item)
    monkeypatch.setattr(clients.dynamodb(), "batch_write_item", write)
    written = []
    for _ in range(3):
        write.reset_mock()
        assert search_index.update(image_id)
        requests = [call.kwargs["RequestItems"][settings.table_name()] for call in write.call_args_list]
        written.append([len(batch) for batch in requests])
    # The inventory, five entries and five new terms of the vocabulary. Then the entries again, and the inventory.
    assert written == [[1, 5, 5], [5, 1], []]


@pytest.mark.parametrize("dying_write", range(3))
@pytest.mark.parametrize("dying_update", range(6))
def test_no_interruption_loses_or_leaves_an_entry(
    monkeypatch: pytest.MonkeyPatch, dying_update: int, dying_write: int
) -> None:
    """One update dies in the middle of a write, or after the last. Then the caption changes, and changes back."""
    both, dog = "a dog and a cat", "a dog"
    image_id, write, left = stored(both), clients.dynamodb().batch_write_item, 100

    def dying(RequestItems: dict[str, list[Any]]) -> Any:  # noqa: N803 - boto3's name
        nonlocal left
        left -= 1
        if left >= 0:
            return write(RequestItems=RequestItems)
        ((name, requests),) = RequestItems.items()
        # The removed entries are last.
        write(RequestItems={name: requests[len(requests) // 2 :]})
        raise ClientError({"Error": {"Code": "InternalServerError"}}, "BatchWriteItem")

    def entries() -> dict[str, list[str]]:
        return {item["pk"].removeprefix("TERM#"): item["terms"] for item in table_items("TERM#")}

    monkeypatch.setattr(clients.dynamodb(), "batch_write_item", dying)
    for number, caption in enumerate([both, both, dog, both, dog, both]):
        model = CaptionModel("other", str(number), "fp32")
        records.replace_caption(records.get(SHARED, image_id), caption, Decimal(1), model)
        left = dying_write if number == dying_update else 100
        with suppress(StorageError):
            search_index.update(image_id)
        if number > dying_update:
            expected = sorted(terms.of(caption, "photo.jpg"))
            assert entries() == dict.fromkeys(expected, expected)
    records.delete(SHARED, image_id)
    left = 100
    assert not search_index.update(image_id)
    assert entries() == {}


def test_throttled_writes_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = stored("a dog")
    write = clients.dynamodb().batch_write_item

    def throttled(RequestItems: dict[str, list[Any]]) -> Any:  # noqa: N803 - boto3's name
        (requests,) = RequestItems.values()
        write(RequestItems={settings.table_name(): requests[:1]})
        return {"UnprocessedItems": {settings.table_name(): requests[1:]} if requests[1:] else {}}

    monkeypatch.setattr(table, "_pause", lambda _: None)
    monkeypatch.setattr(clients.dynamodb(), "batch_write_item", throttled)
    search_index.update(image_id)
    assert search(q="dog photo jpg") == [image_id]
    monkeypatch.setattr(
        clients.dynamodb(),
        "batch_write_item",
        lambda RequestItems: {"UnprocessedItems": RequestItems},  # noqa: N803
    )
    with pytest.raises(StorageError):
        search_index.update(image_id, rebuild=True)


def test_an_index_that_fails_is_updated_again_from_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = stored("a dog")
    queued = Mock()
    monkeypatch.setattr(leftovers, "send", queued)
    with monkeypatch.context() as patched:
        patched.setattr(search_index, "update", Mock(side_effect=StorageError))
        assert follow(event_of("follow_images_finished", image_id)) == []
    queued.assert_called_once_with(image_id)
    leftover = load_event("follow_images_leftover")
    leftover["Records"][0]["body"] = image_id
    assert follow(leftover) == []
    assert search(q="dog") == [image_id]
    assert records.get(SHARED, image_id)

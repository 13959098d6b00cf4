"""GET /api/images?q=: images by the words of their caption and file name."""

from uuid import uuid4

from tests.contract.client import Client
from tests.contract.refusals import refusal
from tests.pictures import scene_png


def test_an_image_is_found_by_the_words_of_its_name_until_it_is_deleted(api: Client) -> None:
    word = f"holiday{uuid4().hex}"
    image_ids = [api.uploaded(scene_png(), f"{word} {number}.png")["image_id"] for number in range(3)]

    def found(words: str, limit: int = 50) -> list[str]:
        return list(api.get(f"/api/images?q={words}&limit={limit}").json().get("content", {}))

    api.wait_until("the images are not found", lambda: found(word.upper()) == image_ids[::-1])
    assert found(f"{word}+1") == [image_ids[1]]
    page = api.get(f"/api/images?q={word}&limit=2").json()
    assert list(page["content"]) == image_ids[:0:-1]
    assert list(api.get(f"/api/images{page['next']}").json()["content"]) == image_ids[:1]
    api.delete(image_ids[1])
    api.wait_until("a deleted image is found", lambda: found(word) == [image_ids[2], image_ids[0]])


def test_a_search_that_is_too_long_is_refused(api: Client) -> None:
    response = refusal(api.get(f"/api/images?q={201 * 'x'}"))
    assert response == (400, "Invalid q. Please use at most 200 characters.")

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from random import Random
from urllib.parse import urljoin

import boto3
import requests

from tests.pictures import encode
from tools.demo_model import scenes
from tools.local import access, server

UPLOAD_COUNT = 200
INDEX_SECONDS = 300


def image_ids(url: str, headers: dict[str, str] | None = None) -> set[str]:
    """Return the ids on this page of the list and on all that follow."""
    found: set[str] = set()
    while url:
        page = requests.get(url, headers=headers, timeout=60).json()
        found |= set(page.get("content", {}))
        url = urljoin(url, page["next"]) if "next" in page else ""
    return found


def test_eight_clients_at_once_lose_nothing() -> None:
    rng = Random(8)
    pictures = [encode(scenes.draw(scenes.random_scene(rng))) for _ in range(UPLOAD_COUNT)]
    with server.run() as api, ThreadPoolExecutor(8) as pool:

        def upload(number: int) -> str:
            files = {"file": (f"{number}.png", pictures[number])}
            response = requests.post(f"{api.url}/api/images", files=files, timeout=60)
            assert response.status_code == 200, response.text
            image_id: str = response.json()["data"]["image_id"]
            return image_id

        acknowledged = set(pool.map(upload, range(UPLOAD_COUNT)))
        listed = image_ids(f"{api.url}/api/images?limit=100")
        # The index follows the table, in the background.
        end = time.monotonic() + INDEX_SECONDS
        while (found := image_ids(f"{api.url}/api/images?limit=100&q=png")) != acknowledged and time.monotonic() < end:
            time.sleep(0.5)
        statistics = requests.get(f"{api.url}/api/stats", timeout=60).json()["data"]
        items = boto3.Session().resource("dynamodb").Table(os.environ["TABLE_NAME"]).scan()["Items"]

    assert len(acknowledged) == UPLOAD_COUNT
    assert listed == acknowledged
    assert found == acknowledged
    assert Counter(item["sk"] for item in items if str(item["pk"]).startswith("IMAGE#")) == {
        "IMAGE": UPLOAD_COUNT,
        "TERMS": UPLOAD_COUNT,
    }
    assert (statistics["success"], statistics["failure"]) == (UPLOAD_COUNT, 0)
    records = [item for item in items if item["sk"] == "IMAGE"]
    # Sums of decimals are exact, so they must be equal.
    total = sum(Decimal(str(shard["total_processing_time"])) for shard in items if shard["sk"] == "STATS")
    assert total == sum(Decimal(str(record["time_taken"])) for record in records)
    assert statistics["total_processing_time"] == float(total)


def test_clients_at_once_get_exactly_the_places_of_their_owners() -> None:
    limit, each = 20, 30
    owners = [{"x-api-key": key} for key in (access.API_KEY, access.OTHER_API_KEY)]
    parameters = {"ApiAuth": "API_KEY", "Owners": "caller", "OwnerMaxImages": str(limit)}
    picture = encode(scenes.draw(scenes.random_scene(Random(8))))
    with server.run(parameters=parameters) as api, ThreadPoolExecutor(8) as pool:

        def upload(number: int) -> int:
            files = {"file": (f"{number}.png", picture)}
            response = requests.post(f"{api.url}/api/images", files=files, headers=owners[number % 2], timeout=60)
            return response.status_code

        assert Counter(pool.map(upload, range(2 * each))) == {200: 2 * limit, 429: 2 * (each - limit)}
        listed = [image_ids(f"{api.url}/api/images?limit=100", headers) for headers in owners]
        gone = listed[0].pop()
        assert requests.delete(f"{api.url}/api/images/{gone}", headers=owners[0], timeout=60).status_code == 200
        # The place is given back in the background.
        end = time.monotonic() + INDEX_SECONDS
        while upload(0) != 200:
            assert time.monotonic() < end
            time.sleep(0.5)
        assert upload(0) == upload(1) == 429
    assert [len(found) for found in listed] == [limit - 1, limit]

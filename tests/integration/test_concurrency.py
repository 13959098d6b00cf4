import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from random import Random

import boto3
import requests

from tests.pictures import encode
from tools import demo_scenes, local_api

UPLOADS = 200


def test_eight_clients_at_once_lose_nothing() -> None:
    rng = Random(8)
    scenes = [encode(demo_scenes.draw(demo_scenes.random_scene(rng))) for _ in range(UPLOADS)]
    with local_api.run() as api, ThreadPoolExecutor(8) as pool:

        def upload(number: int) -> str:
            files = {"file": (f"{number}.png", scenes[number])}
            response = requests.post(f"{api.url}/api/images", files=files, timeout=60)
            assert response.status_code == 200, response.text
            image_id: str = response.json()["data"]["image_id"]
            return image_id

        acknowledged = set(pool.map(upload, range(UPLOADS)))
        listed: set[str] = set()
        path = "/api/images?limit=100"
        while path:
            page = requests.get(f"{api.url}{path}", timeout=60).json()
            listed |= set(page["content"])
            path = page.get("next", "")
        statistics = requests.get(f"{api.url}/api/stats", timeout=60).json()["data"]
        items = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"]).scan()["Items"]

    assert len(acknowledged) == UPLOADS
    assert listed == acknowledged
    assert Counter(item["sk"] for item in items if str(item["pk"]).startswith("IMAGE#")) == {"IMAGE": UPLOADS}
    assert (statistics["success"], statistics["failure"]) == (UPLOADS, 0)
    records = [item for item in items if item["sk"] == "IMAGE"]
    # Decimals: the sums are equal, not merely close.
    total = sum(Decimal(str(shard["total_processing_time"])) for shard in items if shard["sk"] == "STATS")
    assert total == sum(Decimal(str(record["time_taken"])) for record in records)
    assert statistics["total_processing_time"] == float(total)

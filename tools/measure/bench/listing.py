"""The time of one page of the list on DynamoDB Local: `.venv/bin/python -m tools.measure.bench.listing`.

A pause of 10 ms per call to DynamoDB replaces the time of a network.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from image_pipeline.storage import clients, records
from image_pipeline.threads import ThreadPool
from tools.containers import dynamodb_local, storage
from tools.local.sample_images import sample_image, store_sample

_IMAGES = 500
_LIMIT = 50
_ROUNDS = 100
_PAUSES = (0, 0.01)


def main() -> None:
    """Print the milliseconds of the fastest page. The shards are read in turn, then at the same time."""
    with table_of_images(_IMAGES):
        _milliseconds()  # warm up DynamoDB Local
        print(f"{_LIMIT} of {_IMAGES} images, the fastest of {_ROUNDS} pages")
        for pause in _PAUSES:
            clients.dynamodb().meta.events.register("before-send", lambda pause=pause, **_: time.sleep(pause), "pause")
            with patch.object(records, "ThreadPool", lambda *_, **__: ThreadPool(1)):
                in_turn = _milliseconds()
            print(f"{pause * 1000:.0f} ms added per call: in turn {in_turn:.0f} ms, at once {_milliseconds():.0f} ms")
            clients.dynamodb().meta.events.unregister("before-send", unique_id="pause")


@contextmanager
def table_of_images(images: int) -> Iterator[None]:
    """Fill the table of a new DynamoDB Local with images while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "TABLE_NAME": "listing",
        "RETENTION_DAYS": "0",
    }
    with dynamodb_local.run(None, "127.0.0.1", port):
        storage.create_table(url, os.environ["TABLE_NAME"])
        for minutes in range(images):
            store_sample(sample_image(minutes=minutes))
        yield


def _milliseconds() -> float:
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        records.newest(_LIMIT)
        seconds.append(time.perf_counter() - start)
    return min(seconds) * 1000


if __name__ == "__main__":
    main()

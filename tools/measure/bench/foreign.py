"""Whether an image of another owner takes as long as an unknown one: `.venv/bin/python -m tools.measure.bench.foreign`.

Reads foreign and unknown ids in turns from DynamoDB Local, and prints the median CPU time of this process. What the
function computes is the only difference that can be seen: DynamoDB sends nothing in both cases.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

from image_pipeline.errors import ImageNotFoundError
from image_pipeline.http import owners
from image_pipeline.storage import records
from tools.local.sample_images import sample_image, store_sample
from tools.measure.bench import storage

_IMAGES = 100
_READS, _CHECKS, _WARM_UP = 1500, 150, 20
_READER, _OTHER = (owners.digest("API_KEY", caller) for caller in ("reader", "other"))


def main() -> None:
    """Print the median CPU milliseconds of a read and of a check of 100 ids, for foreign and for unknown images."""
    with storage.dynamodb():
        storage.create_table("images")
        foreign, unknown = [str(uuid4()) for _ in range(_IMAGES)], [str(uuid4()) for _ in range(_IMAGES)]
        for image_id in foreign:
            store_sample(replace(sample_image(image_id), owner=_OTHER))
        print("| | foreign | unknown |\n|---|---|---|")
        for name, read, rounds in (("an image", _read, _READS), (f"a check of {_IMAGES}", _check, _CHECKS)):
            medians = _medians(read, (foreign, unknown), rounds)
            print(f"| {name} | {medians[0]:.3f} ms | {medians[1]:.3f} ms |")


def _read(image_ids: Sequence[str], number: int) -> None:
    with suppress(ImageNotFoundError):
        records.find(_READER, image_ids[number % _IMAGES])


def _check(image_ids: Sequence[str], _: int) -> None:
    records.check(_READER, image_ids)


def _medians(read: Callable[[Sequence[str], int], None], kinds: Sequence[Sequence[str]], rounds: int) -> list[float]:
    """Return the median CPU milliseconds for each kind of ids. Which kind comes first changes from round to round."""
    seconds: list[list[float]] = [[] for _ in kinds]
    for number in range(_WARM_UP + rounds):
        for at in range(len(kinds)) if number % 2 else reversed(range(len(kinds))):
            start = time.process_time()
            read(kinds[at], number)
            seconds[at].append(time.process_time() - start)
    return [statistics.median(each[_WARM_UP:]) * 1000 for each in seconds]


if __name__ == "__main__":
    main()

"""Every test also checks the log for private data. These tests show that the check finds it."""

import logging

import pytest

from image_pipeline.http import file_names
from tests.private_data import Watch


@pytest.mark.parametrize(
    ("message", "extra"),
    [
        ("stored", {"name_of_file": "holiday in Rome.png"}),
        ("holiday in Rome.png stored", {}),
        ("redirect", {"url": "https://bucket.s3.amazonaws.com/a/thumbnails/small.png"}),
        ("redirect", {"url": "https://bucket.s3.amazonaws.com/x?X-Amz-Expires=900"}),
        ("stored", {"record": {"caption": "a dog on a beach"}}),
        ("stored", {"created_at": "2025-03-16 15:09:27"}),
    ],
)
def test_private_data_is_found(message: str, extra: dict[str, object]) -> None:
    assert lines(message, extra)


def test_an_image_id_and_a_reason_are_not_private() -> None:
    assert not lines("stored", {"image_id": "b480bcff-7fff-45b2-93cf-7a534fe39821", "reason": "StorageError"})


def lines(message: str, extra: dict[str, object]) -> list[str]:
    watch = Watch()
    watch.watching(file_names.cleaned)("C:\\photos\\holiday in Rome.png")
    watch.handle(logging.makeLogRecord({"msg": message, "level": "INFO", **extra}))
    return watch.lines

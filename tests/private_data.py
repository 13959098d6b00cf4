"""Watches the log of the functions during all tests: it must not contain private data of clients."""

import logging
import re
from collections.abc import Callable, Iterator

import pytest

from image_pipeline.http import file_names, prompts
from image_pipeline.observability import logger

# The private data: presigned URLs, and the fields of a response that come from the picture.
_PRIVATE = re.compile(
    r"X-Amz-|Signature=|https?://[^\"\s]*thumbnails|\"(?:caption|created_at|modified_at|original_name)\":"
)
# Shorter texts could be in a line by chance.
_MIN_CHARACTERS = 8


class Watch(logging.Handler):
    """Collects the lines of the log that contain private data."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logger.registered_formatter)
        self.texts: set[str] = set()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if _PRIVATE.search(line) or any(text in line for text in self.texts):
            self.lines.append(line)

    def watching(self, clean: Callable[[str], str]) -> Callable[[str], str]:
        """Return a function that does the same, and remembers its results as private."""

        def watched(text: str) -> str:
            cleaned = clean(text)
            if len(cleaned) >= _MIN_CHARACTERS:
                self.texts.add(cleaned)
            return cleaned

        return watched


@pytest.fixture(autouse=True)
def no_private_data_in_the_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test during which a file name, a prompt, a presigned URL or a caption was logged."""
    watch = Watch()
    monkeypatch.setattr(file_names, "cleaned", watch.watching(file_names.cleaned))
    monkeypatch.setattr(prompts, "checked", watch.watching(prompts.checked))
    underlying = logging.getLogger(logger.name)
    underlying.addHandler(watch)
    yield
    underlying.removeHandler(watch)
    assert watch.lines == []

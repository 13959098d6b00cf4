"""How the tests are divided between processes, and what all tests check."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.private_data import no_private_data_in_the_log

__all__ = ["no_private_data_in_the_log"]

# Their tests use one local API per folder, or start processes. One process runs all tests of a folder.
_OVER_HTTP = {"contract", "gateway", "integration"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.parent.name
        over_http = folder in _OVER_HTTP
        # A test may name a group of its own.
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(folder if over_http else item.path.stem))
        if over_http or not _imports_our_code(item.path):
            # Tracing makes a test half as fast. The unit tests alone must reach the coverage.
            item.add_marker("no_cover")


@cache
def _imports_our_code(path: Path) -> bool:
    return bool(re.search(r"^from (functions|image_pipeline|image_processing)\b", path.read_text(), re.MULTILINE))

"""How the tests are divided between processes, and what all tests check."""

import pytest

from tests.private_data import no_private_data_in_the_log

__all__ = ["no_private_data_in_the_log"]

# Their tests use one local API per folder, or start processes. One process runs all tests of a folder.
_OVER_HTTP = {"contract", "gateway", "integration"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.parent.name
        # A test may name a group of its own.
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(folder if folder in _OVER_HTTP else item.path.stem))

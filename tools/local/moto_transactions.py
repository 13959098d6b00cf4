"""Makes moto's transactions as fast in a large table as in a small one, and keeps the stream if one is cancelled.

moto copies the whole table with its stream before each transaction. If the transaction is cancelled, moto continues
with the copy. Here only the written partitions are copied. The stream is not copied: its readers hold the object, so
they would never see an event that is added to a copy.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from typing import Any
from unittest.mock import patch

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table

_apply = DynamoDBBackend.transact_write_items


@contextmanager
def mended() -> Iterator[None]:
    """Replace the transactions of moto until the block ends. moto may run one transaction at a time."""
    written: set[str] = set()

    def transact(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        written.clear()
        for (operation,) in (item.values() for item in transact_items):
            key = operation["Item"] if "Item" in operation else operation["Key"]
            written.update(value for value in key["pk"].values())
        events = [
            (table.stream_shard.items, len(table.stream_shard.items))
            for table in self.tables.values()
            if table.stream_shard
        ]
        try:
            _apply(self, transact_items)
        except Exception:
            for items, length in events:
                del items[length:]
            raise

    def snapshot(self: Table, memo: dict[int, Any]) -> Table:
        taken = copy(self)
        partitions = {
            key: deepcopy(found, memo) if key.value in written else found for key, found in self.items.items()
        }
        taken.items = defaultdict(dict, partitions)
        return taken

    with (
        patch.object(DynamoDBBackend, "transact_write_items", transact),
        patch.object(Table, "__deepcopy__", snapshot, create=True),
    ):
        yield

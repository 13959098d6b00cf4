"""The memory of the stand-in for S3 and DynamoDB does not grow, because a local API may run for days."""

import os
from pathlib import Path

from image_pipeline import settings
from image_pipeline.storage import clients
from tools import local_api


def test_transactions_leave_no_copies_of_the_table_in_memory() -> None:
    with local_api.run():
        write_images(0, 20)
        before = resident_bytes()
        write_images(20, 300)
        assert resident_bytes() - before < 3_000_000


def write_images(first: int, last: int) -> None:
    for number in range(first, last):
        clients.dynamodb().transact_write_items(
            TransactItems=[
                {
                    "Put": {
                        "TableName": settings.table_name(),
                        "Item": {"pk": {"S": f"IMAGE#{number}"}, "sk": {"S": "IMAGE"}},
                    }
                }
            ]
        )


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

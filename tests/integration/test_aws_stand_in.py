"""The memory of the stand-in for AWS does not grow with each transaction, because a local API may run for days."""

import gc

from moto.dynamodb.models.table import Table

from image_pipeline import settings
from image_pipeline.storage import clients
from tools import local_api


def test_transactions_leave_no_copies_of_the_table_in_memory() -> None:
    with local_api.run():
        write_images(0, 5)
        before = tables()
        write_images(5, 25)
        assert tables() <= before


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


def tables() -> int:
    gc.collect()
    return sum(isinstance(thing, Table) for thing in gc.get_objects())

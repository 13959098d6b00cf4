"""DynamoDB Local for the measurements that read many stored images."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from image_pipeline.storage import clients
from tools.local import engines
from tools.template import read, table_definition

# With these, an image is stored with as few writes as possible.
_SETTINGS = {"RETENTION_DAYS": "0", "DUPLICATES": "keep", "OWNER_MAX_IMAGES": "0", "OWNER_DAILY_UPLOADS": "0"}


@contextmanager
def dynamodb() -> Iterator[None]:
    """Run a DynamoDB Local for this process until the block ends."""
    with engines.dynamodb("127.0.0.1", engines.free_port("127.0.0.1")) as engine:
        os.environ |= engines.credentials() | {"AWS_ENDPOINT_URL_DYNAMODB": engine.url} | _SETTINGS
        engine.wait()
        yield


def create_table(name: str) -> None:
    """Create the table of the template, and let this process use it."""
    os.environ["TABLE_NAME"] = name
    clients.dynamodb().create_table(TableName=name, **table_definition(read()))

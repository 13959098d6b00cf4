"""Restore the upload function twice from one snapshot, by fork: `python -m tests.snapshot_restores`.

Lambda takes the snapshot at the end of init. Each restored environment goes on from there, as a forked process does.
Each line of the output is the JSON of one restore: what its uploads stored.
"""

import json
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import boto3
import snapshot_restore_py
from moto import mock_aws

from image_processing import captions
from tests.events import load_event
from tools import template
from tools.local import resources
from tools.local.gateway import LocalContext
from tools.local.server import DEMO_MODEL

_RESTORES = 2
_UPLOADS = 8


def main() -> None:
    """Take the snapshot, and restore it. Prints one line per restore."""
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with mock_aws():
        described = template.read()
        os.environ |= template.variables(described, resources.create(described, boto3.client))
        os.environ |= {
            "MODEL_PATH": str(DEMO_MODEL),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "AWS_LAMBDA_FUNCTION_NAME": "UploadImageFunction",
            "POWERTOOLS_LOG_LEVEL": "CRITICAL",
            "POWERTOOLS_METRICS_DISABLED": "true",
        }
        # With one processor, ONNX Runtime starts no threads. Lambda restores threads, and a fork does not.
        captions.usable_processors = lambda: 1
        from functions.upload_image.app import lambda_handler  # noqa: PLC0415 - its import is the init

        for hook, arguments, options in snapshot_restore_py.get_before_snapshot():
            hook(*arguments, **options)
        random_state = random.getstate()
        for _ in range(_RESTORES):
            restored = os.fork()
            if restored == 0:
                # A forked process gets new random numbers from Python. A restored one goes on with the old ones.
                random.setstate(random_state)
                captions._LOADER = ThreadPoolExecutor(1)  # noqa: SLF001 - its thread is not forked
                sys.stdout.write(json.dumps(_uploads(lambda_handler)) + "\n")
                sys.stdout.flush()
                os._exit(0)
            _, status = os.waitpid(restored, 0)
            assert status == 0


def _uploads(lambda_handler: Any) -> dict[str, Any]:
    images, shards = [], []
    for _ in range(_UPLOADS):
        before = _statistics()
        response = lambda_handler(load_event("upload_image_png"), LocalContext("UploadImageFunction"))
        assert response["statusCode"] == HTTPStatus.OK
        images.append(json.loads(response["body"])["data"]["image_id"])
        shards += [shard for shard, count in _statistics().items() if count != before.get(shard)]
    attempts = [item["attempt"]["S"] for item in _items() if "attempt" in item]
    return {"images": images, "attempts": attempts, "shards": shards}


def _statistics() -> dict[str, str]:
    return {item["pk"]["S"]: item["success"]["N"] for item in _items() if item["pk"]["S"].startswith("STATS")}


def _items() -> list[Any]:
    from image_pipeline import settings  # noqa: PLC0415
    from image_pipeline.storage import clients  # noqa: PLC0415

    return clients.dynamodb().scan(TableName=settings.table_name())["Items"]


if __name__ == "__main__":
    main()

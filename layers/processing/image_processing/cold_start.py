"""What the upload function does before its first event, to shorten the wait of that event."""

import os

from PIL import Image

from image_pipeline import observability
from image_pipeline.storage import clients
from image_processing.captions import get_captioner, start_loading


def prepare() -> None:
    """Load the model and make the AWS clients. Does nothing outside Lambda.

    On demand, Lambda stops an init that takes 10 s and starts it again. Therefore the model is loaded in the
    background, and the handler waits for it. With provisioned concurrency or SnapStart no client waits for init, so
    everything is done before init ends.
    """
    match os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE"):
        case "on-demand":
            observability.record_cold_start(os.environ["AWS_LAMBDA_FUNCTION_NAME"])
            start_loading()
            clients.prepare(clients.dynamodb, clients.s3)
        case "provisioned-concurrency":
            _warm_up()
        case "snap-start":
            # This module is part of Lambda's Python runtime. No connection is open yet, so none must be renewed after a
            # restore.
            from snapshot_restore_py import register_before_snapshot  # noqa: PLC0415

            register_before_snapshot(_warm_up)


def _warm_up() -> None:
    """Write one caption, because the first run allocates memory that later runs reuse."""
    clients.prepare(clients.dynamodb, clients.s3)
    get_captioner().caption(Image.new("RGB", (1, 1)))

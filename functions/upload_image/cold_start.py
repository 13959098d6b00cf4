"""The work that the upload function does before its first event, so that the event waits as little as possible."""

import os

from PIL import Image

from functions.upload_image.captioner import get_captioner, start_loading
from image_pipeline import clients


def prepare() -> None:
    """Load the model and make the AWS clients, in the way that suits how Lambda starts this process.

    On demand, Lambda stops an init that takes 10 s and repeats it. So the model loads in the background, and the
    handler waits for it. With provisioned concurrency and SnapStart no client waits for init: everything is done
    before init ends. Elsewhere, as in tests, this does nothing.
    """
    match os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE"):
        case "on-demand":
            start_loading()
            clients.prepare(clients.dynamodb, clients.s3)
        case "provisioned-concurrency":
            _warm_up()
        case "snap-start":
            # The module is part of Lambda's Python runtime. No connection is open yet, so a restore renews nothing.
            from snapshot_restore_py import register_before_snapshot  # noqa: PLC0415

            register_before_snapshot(_warm_up)


def _warm_up() -> None:
    """Run the engine once: the first run allocates memory that later runs use again."""
    clients.prepare(clients.dynamodb, clients.s3)
    get_captioner().caption(Image.new("RGB", (1, 1)))

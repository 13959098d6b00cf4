"""What the upload function does before its first event, so that the event waits for as little as possible."""

import os
from threading import Thread

from PIL import Image

from functions.upload_image.captioner import get_captioner
from image_pipeline import clients


def prepare() -> None:
    """Load the model and make the AWS clients, in the way that suits how Lambda starts this process.

    On demand, init is cut off after 10 s and done again: the model loads in the background, and the handler
    waits for it. With provisioned concurrency or SnapStart nobody waits for init, so all is done before it ends.
    Elsewhere, as under tests, this does nothing.
    """
    match os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE"):
        case "on-demand":
            Thread(target=get_captioner, name="model", daemon=True).start()
            clients.prepare(clients.dynamodb, clients.s3)
        case "provisioned-concurrency":
            _warm_up()
        case "snap-start":
            # Part of Lambda's Python runtime; nothing has to be renewed after a restore: no connection is open yet.
            from snapshot_restore_py import register_before_snapshot  # noqa: PLC0415

            register_before_snapshot(_warm_up)


def _warm_up() -> None:
    """Run the engine once: its first run allocates what later ones use again."""
    clients.prepare(clients.dynamodb, clients.s3)
    get_captioner().caption(Image.new("RGB", (1, 1)))

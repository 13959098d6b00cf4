"""The upload handler on moto, in a process of its own: an upload of 12 megapixels, only its caption, and a known file.

`.venv/bin/python -m tools.measure.bench.upload MODEL_FOLDER PHOTOGRAPH TOKENS ROUNDS` runs it alone.
"""

import base64
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import boto3
import numpy as np
from moto import mock_aws
from PIL import Image

from functions.upload_image.app import lambda_handler
from image_pipeline import settings
from image_processing import pictures, uploads
from image_processing.captions import get_captioner
from tools import template
from tools.local import resources
from tools.local.gateway import LocalContext
from tools.measure.bench import tasks

Result = TypeVar("Result")

_SIZE = (4000, 3000)
_NOISE = 4.0
_MULTIPART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="large.jpg"\r\n\r\n%s\r\n--b--\r\n'


class _OneAfterTheOther(ThreadPoolExecutor):
    """A pool that runs each task immediately, in the calling thread."""

    def submit(self, run: Callable[..., Result], /, *arguments: object, **options: object) -> Future[Result]:
        future: Future[Result] = Future()
        future.set_result(run(*arguments, **options))
        return future


def main(folder: str, photograph: str, tokens: str, rounds: str) -> None:
    """Print the median seconds of a caption, and of an upload: whole, without overlap, and of a known file."""
    content = twelve_megapixels(Path(photograph))
    body = base64.b64encode(_MULTIPART % content).decode()
    event = {
        "httpMethod": "POST",
        "path": "/api/images",
        "headers": {"Content-Type": "multipart/form-data; boundary=b"},
        "isBase64Encoded": True,
        "body": body,
    }
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull}
    with mock_aws():
        described = template.read()
        os.environ |= template.variables(described, resources.create(described, boto3.client))
        os.environ |= {
            "MODEL_PATH": folder,
            "MAX_CAPTION_TOKENS": tokens,
        }
        picture = pictures.decode(content, datetime.now(UTC), settings.max_image_pixels())
        flat = pictures.flatten(picture)

        def caption() -> None:
            get_captioner().caption(flat)

        def upload() -> None:
            _send(event)

        def upload_in_turn() -> None:
            with patch.object(uploads, "ThreadPool", _OneAfterTheOther):
                upload()

        def known() -> None:
            with patch.dict(os.environ, DUPLICATES="find"):
                headers = _send(event | {"queryStringParameters": {"duplicates": "return"}})
            # In the first round, the file becomes known.
            if number and "Duplicate-Of" not in headers:
                raise RuntimeError("the file is not known")

        runs = {"caption": caption, "upload": upload, "upload_in_turn": upload_in_turn, "known": known}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(1 + int(rounds)):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                if number:  # the first one warms up
                    seconds[name].append(time.perf_counter() - start)
    tasks.report({name: statistics.median(values) for name, values in seconds.items()} | {"bytes": len(content)})


def _send(event: Mapping[str, object]) -> Mapping[str, str]:
    """Return the headers of a successful upload."""
    response = lambda_handler(event, LocalContext("UploadImageFunction"))
    if response["statusCode"] != 200:
        raise RuntimeError(response["body"])
    headers: Mapping[str, str] = response["headers"]
    return headers


def twelve_megapixels(photograph: Path, image_format: str = "JPEG") -> bytes:
    """Return an enlarged photograph with noise, so that its JPEG is as large as that of a camera."""
    smooth = np.asarray(Image.open(photograph).resize(_SIZE, Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(0).normal(0, _NOISE, (*smooth.shape[:2], 1))
    stream = BytesIO()
    Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8)).save(stream, image_format, quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:])

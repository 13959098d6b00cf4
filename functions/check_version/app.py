"""Checks a new version of the upload function before it gets uploads: two known pictures must get captions.

CodeDeploy calls this function as the PreTraffic hook of a canary. `make deploy` calls it after any other deployment.
check.jpg and check.png are tools/exporter/samples/scene-03.png, once as a JPEG with quality 90, and once unchanged.
"""

from pathlib import Path
from typing import Any

from image_pipeline import deadline
from image_pipeline.http import version_check
from image_pipeline.observability import logger

_PICTURES = [Path(__file__).with_name(name) for name in ("check.jpg", "check.png")]


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: deadline.Context) -> version_check.Report:
    with deadline.of({}, context):
        return version_check.run(event, {picture.name: picture.read_bytes() for picture in _PICTURES})

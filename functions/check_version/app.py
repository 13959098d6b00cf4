"""Before uploads go to a new version of the upload function: send it two known pictures, and expect two captions.

CodeDeploy calls this function as the PreTraffic hook of a canary, `make deploy` after any other deployment. check.jpg
and check.png are tools/exporter/samples/scene-03.png, as a JPEG with quality 90 and as it is.
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

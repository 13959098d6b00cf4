"""The log and the metrics. POWERTOOLS_* variables set the service name, the log level and the metric namespace.

Alarms and widgets in template.yaml name these metrics and their dimensions; a test compares them.
"""

import os
from typing import Literal

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from image_pipeline.models import CaptionModel

Way = Literal["form", "direct"]
Measurement = tuple[MetricUnit, float]

logger = Logger()


def record_success(way: Way, seconds: float, decoding_seconds: float, size_bytes: int) -> None:
    """Emit the metrics of an image: a count of one, the time of the upload, the time of decoding, and the file size."""
    _emit(
        {"way": way},
        ImagesProcessed=(MetricUnit.Count, 1),
        ProcessingTime=(MetricUnit.Seconds, seconds),
        DecodingTime=(MetricUnit.Seconds, decoding_seconds),
        UploadedBytes=(MetricUnit.Bytes, size_bytes),
    )


def record_failure(way: Way) -> None:
    """Emit the metric of an upload that is counted as a failure."""
    _emit({"way": way}, ImagesFailed=(MetricUnit.Count, 1))


def record_version_fault() -> None:
    """Emit the metric of a failed upload that is a fault of ours, for this version of the function.

    An alarm on this metric rolls back a canary. Does nothing outside Lambda, where a function has no version.
    """
    if version := os.environ.get("AWS_LAMBDA_FUNCTION_VERSION"):
        # Versions of other functions have the same numbers.
        function = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        _emit({"function": function, "version": version}, VersionFaults=(MetricUnit.Count, 1))


def record_refusal(way: Way) -> None:
    """Emit the metric of a file that is refused before it is decoded, and not counted as a failure."""
    _emit({"way": way}, ImagesRefused=(MetricUnit.Count, 1))


def record_caption(model: CaptionModel, seconds: float) -> None:
    """Emit the time of a caption."""
    _emit({"model": model.id, "precision": model.precision}, CaptionTime=(MetricUnit.Seconds, seconds))


def record_cold_start(function: str) -> None:
    """Emit the metric of a new environment of a function that loads the caption model."""
    _emit({"function": function}, ColdStarts=(MetricUnit.Count, 1))


def _emit(dimensions: dict[str, str], **measurements: Measurement) -> None:
    # One object per call, because the local API processes several uploads at once in one process.
    metrics = EphemeralMetrics()
    for name, text in dimensions.items():
        metrics.add_dimension(name, text)
    for name, (unit, value) in measurements.items():
        metrics.add_metric(name, unit, value)
    metrics.flush_metrics()

"""The log and the metrics. POWERTOOLS_* variables set the service name, the log level and the metric namespace."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

logger = Logger()


def count_processed(seconds: float) -> None:
    """Emit the metrics of an image that was processed in `seconds`."""
    _emit("ImagesProcessed", seconds)


def count_failed() -> None:
    """Emit the metric of an upload that failed after its format was recognised."""
    _emit("ImagesFailed")


def _emit(count: str, seconds: float | None = None) -> None:
    # One object per call, because the local API processes several uploads at once in one process.
    metrics = EphemeralMetrics()
    metrics.add_metric(name=count, unit=MetricUnit.Count, value=1)
    if seconds is not None:
        metrics.add_metric(name="ProcessingTime", unit=MetricUnit.Seconds, value=seconds)
    metrics.flush_metrics()

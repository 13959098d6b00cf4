"""From an uploaded file to a finished image. Only the container image contains this package."""

import os

# ONNX Runtime sends usage data to its maker unless this is set before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

"""POST /api/images: the container function, with its caption engine and the exporter of its model."""

import os

# Since 1.29, ONNX Runtime reports its use to its maker unless this is set before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

"""Turn a BLIP in Hugging Face format into the model folder that the captioner reads. Needs torch and transformers."""

import os

# Read when torch is imported: its exporter warns at each operator that is ONNX Runtime's and not ONNX's own.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


class ExportError(Exception):
    """The model cannot be exported; the message says why and what to do."""

"""Export a BLIP in Hugging Face format to the model folder that `captions.py` reads. Needs torch and transformers."""

import os

# torch reads this variable when it is imported. Its exporter warns at each operator that only ONNX Runtime has.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


class ExportError(Exception):
    """The model cannot be exported. The message says why and what to do."""

"""Turn a BLIP in Hugging Face format into the model folder that the captioner reads. Needs torch and transformers."""


class ExportError(Exception):
    """The model cannot be exported; the message says why and what to do."""

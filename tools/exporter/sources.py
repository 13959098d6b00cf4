"""Finds a model: a hub id with a revision, or a local folder in Hugging Face format."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from textwrap import shorten

from huggingface_hub import HfApi, snapshot_download
from transformers import BlipForConditionalGeneration, BlipImageProcessorPil

from image_processing.captions import Preprocessing
from tools.exporter import ExportError

SAFE_WEIGHTS = "model.safetensors"
PICKLED_WEIGHTS = "pytorch_model.bin"
_BICUBIC = 3
# Only data files are downloaded, so no code of a hub can run.
_FILES = ("config.json", "preprocessor_config.json", "tokenizer.json")
# BLIP-base has its weights only as a pickle. Loading a pickle can run code, so a pickle is accepted only if its
# digest is known in advance.
PINNED: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("Salesforce/blip-image-captioning-base", "82a37760796d32b1411fe092ab5d4e227313294b"): {
        PICKLED_WEIGHTS: "d6638651a5526cc2ede56f2b5104d6851b0755816d220e5e046870430180c767",
        "tokenizer.json": "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
        "config.json": "f7846f82f4e2c4a2ccbab9ae8b0e44873540a271a76a1288effd078180c13a82",
        "preprocessor_config.json": "065c10ec97edc5081fbd9655b3d9d25e2647ea6d5dab873325e88eed12d80a7d",
    }
}


@dataclass(frozen=True)
class Source:
    """The files of a model on disk, its names, and the digests that its files must have."""

    folder: Path
    id: str
    revision: str
    digests: Mapping[str, str] = field(default_factory=dict)


def find(model: str, revision: str | None, weights_sha256: str | None) -> Source:
    """Return the local folder `model`, or download it from the hub. Raises ExportError."""
    folder = Path(model)
    pickle_digest = {PICKLED_WEIGHTS: weights_sha256} if weights_sha256 else {}
    if folder.is_dir():
        return Source(folder, folder.resolve().name, revision or "local", pickle_digest)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
        raise ExportError(f"{model} is neither a folder nor a hub id such as owner/name")
    revision = revision or next((known for name, known in PINNED if name == model), None)
    if not revision or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ExportError(f"give the commit of {model}, 40 hexadecimal digits: REVISION=...")
    try:
        names = HfApi().list_repo_files(model, revision=revision)
        weights = SAFE_WEIGHTS if SAFE_WEIGHTS in names else PICKLED_WEIGHTS
        fetched = snapshot_download(model, revision=revision, allow_patterns=[*_FILES, weights])
    except Exception as error:  # the client of the hub also raises the errors of its HTTP library
        raise ExportError(f"{model} could not be downloaded from the hub: {shorten(str(error), 300)}") from error
    return Source(Path(fetched), model, revision, {**PINNED.get((model, revision), {}), **pickle_digest})


def load_model(source: Source) -> BlipForConditionalGeneration:
    """Load the weights in fp32. A pickle needs a known digest, and no code is loaded. Raises ExportError."""
    safe = (source.folder / SAFE_WEIGHTS).is_file()
    if not safe and PICKLED_WEIGHTS not in source.digests:
        raise ExportError(
            f"{source.folder} has no {SAFE_WEIGHTS}. A {PICKLED_WEIGHTS} can contain harmful code. "
            "If you trust it, give its digest: WEIGHTS_SHA256=..."
        )
    for name, expected in source.digests.items():
        path = source.folder / name
        if (name != PICKLED_WEIGHTS or not safe) and (not path.is_file() or sha256(path) != expected):
            raise ExportError(f"{path} is missing or does not have the expected sha256 {expected}")
    try:
        model, report = BlipForConditionalGeneration.from_pretrained(
            source.folder, local_files_only=True, use_safetensors=safe, weights_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, UnpicklingError) as error:
        reason = shorten(str(error), 300)
        raise ExportError(f"{source.folder} could not be loaded as a BLIP for captions: {reason}") from error
    if report["missing_keys"]:
        raise ExportError(f"{source.folder} lacks weights of a BLIP for captions: {sorted(report['missing_keys'])[:3]}")
    return model.float().eval()


def load_preprocessing(source: Source) -> tuple[BlipImageProcessorPil, Preprocessing]:
    """Return the image processor of transformers, and its constants for `captions.py`. Raises ExportError."""
    processor = BlipImageProcessorPil.from_pretrained(source.folder, local_files_only=True)
    size = processor.size
    if size["height"] != size["width"] or processor.resample != _BICUBIC or not processor.do_rescale:
        raise ExportError(
            f"{source.folder} needs a preprocessing that is not supported. Only a bicubic resize to a square is"
        )
    return processor, Preprocessing(size["height"], tuple(processor.image_mean), tuple(processor.image_std))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

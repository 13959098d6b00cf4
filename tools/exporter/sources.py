"""Finds a model: a hub id with a revision, or a local folder in Hugging Face format."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from tools.exporter import ExportError, checks

_SAFE_FILES = (checks.SAFE_WEIGHTS, checks.SAFE_INDEX, "model-*.safetensors")
_PICKLED_FILES = (checks.PICKLED_WEIGHTS,)
# BLIP-base has its weights only as a pickle. Loading a pickle can run code, so a pickle is accepted only if its
# digest is known in advance.
PINNED: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("Salesforce/blip-image-captioning-base", "82a37760796d32b1411fe092ab5d4e227313294b"): {
        checks.PICKLED_WEIGHTS: "d6638651a5526cc2ede56f2b5104d6851b0755816d220e5e046870430180c767",
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
    """Return the local folder `model`, or download it from the hub. The files are complete and of a BLIP for captions.

    A model that was downloaded before is used without the hub. Raises ExportError.
    """
    digest = _hexadecimal(weights_sha256, 64, "WEIGHTS_SHA256")
    given = {checks.PICKLED_WEIGHTS: digest} if digest else {}
    folder = Path(model)
    if folder.is_dir():
        source = Source(folder, folder.resolve().name, revision or "local", given)
    else:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
            raise ExportError(f"{model} is neither a folder nor a hub id such as owner/name")
        revision = _hexadecimal(revision, 40, "REVISION") or next(
            (known for name, known in PINNED if name == model), None
        )
        if not revision:
            raise ExportError(f"give the commit of {model}, 40 hexadecimal digits: REVISION=...")
        fetched = _cached(model, revision) or _downloaded(model, revision)
        source = Source(fetched, model, revision, {**PINNED.get((model, revision), {}), **given})
    checks.require_blip(source.folder)
    _require_digests(source)
    return source


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hexadecimal(text: str | None, digits: int, name: str) -> str | None:
    if text and not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", text):
        raise ExportError(f"{name} must be {digits} hexadecimal digits: {shorten(text, 80)}")
    return text.lower() if text else None


def _cached(model: str, revision: str) -> Path | None:
    """Return the folder of a model that was downloaded completely, or None."""
    for weights in (_SAFE_FILES, _PICKLED_FILES):
        patterns = [*checks.DATA_FILES, *weights]
        try:
            folder = snapshot_download(model, revision=revision, allow_patterns=patterns, local_files_only=True)
            checks.require_blip(Path(folder))
        except (LocalEntryNotFoundError, ExportError):
            continue
        return Path(folder)
    return None


def _downloaded(model: str, revision: str) -> Path:
    print(f"downloading {model} from the hub", flush=True)
    try:
        names = HfApi().list_repo_files(model, revision=revision)
        is_safe = checks.SAFE_WEIGHTS in names or checks.SAFE_INDEX in names
        weights = _SAFE_FILES if is_safe else _PICKLED_FILES
        # Only data files are downloaded, so no code of a hub can run.
        return Path(snapshot_download(model, revision=revision, allow_patterns=[*checks.DATA_FILES, *weights]))
    except Exception as error:  # the client of the hub also raises the errors of its HTTP library
        raise ExportError(f"{model} could not be downloaded from the hub: {shorten(str(error), 300)}") from error


def _require_digests(source: Source) -> None:
    """Require that files have their known digests, and that a pickle has one. Raises ExportError."""
    expected = {name: digest for name, digest in source.digests.items() if name != checks.PICKLED_WEIGHTS}
    for name, digest in expected.items():
        if not (source.folder / name).is_file() or sha256(source.folder / name) != digest:
            raise ExportError(f"{source.folder / name} is missing or does not have the expected sha256 {digest}")
    weights = checks.weights(source.folder)[0]
    if weights.name != checks.PICKLED_WEIGHTS:
        return
    known = {digests[checks.PICKLED_WEIGHTS] for digests in PINNED.values() if checks.PICKLED_WEIGHTS in digests}
    given = source.digests.get(checks.PICKLED_WEIGHTS)
    found = sha256(weights)
    if given and found != given:
        raise ExportError(f"{weights} does not have the expected sha256 {given}")
    if not given and found not in known:
        raise ExportError(
            f"{source.folder} has no {checks.SAFE_WEIGHTS}. A {checks.PICKLED_WEIGHTS} can contain harmful code. "
            f"If you trust it, give its digest: WEIGHTS_SHA256={found}"
        )

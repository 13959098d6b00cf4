"""Quick checks of a model folder in Hugging Face format, made before any slow step."""

import json
import zipfile
from pathlib import Path
from textwrap import shorten
from typing import Any

from safetensors import SafetensorError, safe_open

from tools.exporter import ExportError

SAFE_WEIGHTS = "model.safetensors"
SAFE_INDEX = "model.safetensors.index.json"
PICKLED_WEIGHTS = "pytorch_model.bin"
# All other files that an export reads.
DATA_FILES = (
    *("config.json", "preprocessor_config.json", "processor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"),
)
_CAPTIONER = "BlipForConditionalGeneration"
# Git LFS stores a text that begins like this instead of a large file.
_LFS_POINTER = b"version https://git-lfs"


def require_blip(folder: Path) -> None:
    """Require that `folder` has all files of a BLIP for captions, and that they are complete. Raises ExportError."""
    for name in DATA_FILES:
        if (folder / name).is_file():
            _require_no_pointer(folder / name)
    config = read_json(folder / "config.json")
    kinds = config.get("architectures") or [_CAPTIONER]
    if config.get("model_type") != "blip" or _CAPTIONER not in kinds:
        kind = ", ".join(kinds) if config.get("architectures") else config.get("model_type")
        raise ExportError(
            f"{folder} is a model of the kind {kind}. Only a BLIP for captions can be exported: {_CAPTIONER}"
        )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        raise ExportError(f"{folder} has no tokenizer.json and no vocab.txt")
    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise ExportError(f"{folder} has no preprocessor_config.json and no processor_config.json")
    for path in weights(folder):
        _require_no_pointer(path)
        _require_complete(path)


def weights(folder: Path) -> list[Path]:
    """Return the files with the weights: one, or the parts of a sharded model. Raises ExportError if there are none."""
    if (folder / SAFE_WEIGHTS).is_file():
        return [folder / SAFE_WEIGHTS]
    if (folder / SAFE_INDEX).is_file():
        parts = sorted(set(read_json(folder / SAFE_INDEX).get("weight_map", {}).values()))
        missing = [part for part in parts if not (folder / part).is_file()]
        if missing or not parts:
            raise ExportError(f"{folder} lacks parts of the weights that {SAFE_INDEX} names: {', '.join(missing)}")
        return [folder / part for part in parts]
    if (folder / PICKLED_WEIGHTS).is_file():
        return [folder / PICKLED_WEIGHTS]
    raise ExportError(f"{folder} has no weights: no {SAFE_WEIGHTS}, {SAFE_INDEX} or {PICKLED_WEIGHTS}")


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises ExportError."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ExportError(f"{path.parent} has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} cannot be read: {shorten(str(error), 200)}") from error
    if not isinstance(content, dict):
        raise ExportError(f"{path} contains no JSON object")
    return content


def _require_no_pointer(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise ExportError(f"{path} is a pointer of Git LFS, not the file itself. Get the file: git lfs pull")


def _require_complete(path: Path) -> None:
    if path.name == PICKLED_WEIGHTS:
        if not zipfile.is_zipfile(path):
            raise ExportError(f"{path} is incomplete, or not a file of torch.save. Download it again")
        return
    try:
        with safe_open(path, framework="np"):
            pass
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{path} is incomplete or damaged: {shorten(str(error), 200)}. Download it again") from error

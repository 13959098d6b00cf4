"""Export a BLIP to a model folder: `python -m tools.exporter MODEL FOLDER`."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import huggingface_hub
import onnxruntime
import transformers
from huggingface_hub.utils.tqdm import enable_progress_bars
from PIL import Image
from tokenizers import Tokenizer

from image_processing.captions import Captioner
from tools import stopping
from tools.exporter import ExportError, checks, loading, parity, sources
from tools.exporter.parity import Parity
from tools.exporter.precisions import LADDER, Gate, assemble, write_weights

MAX_TOKENS = 20
SAMPLES = Path(__file__).parent / "samples"
AUTO = "auto"
# The graphs are written twice, to store the weights next to them, and once more in int8.
_ROOM_FACTOR = 2.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a hub id, or a folder in Hugging Face format")
    parser.add_argument("folder", type=Path, help="folder for the exported model; replaced if it exists")
    parser.add_argument("--revision", help="commit of the model on the hub")
    parser.add_argument("--weights-sha256", help="digest of a pickled weights file that you trust")
    parser.add_argument("--name", help="name of the model in model.json (default: hub id or folder name)")
    parser.add_argument("--note", default="", help="a note for users, shown with the name of the model")
    parser.add_argument(
        "--precision",
        choices=[*LADDER, AUTO],
        default=AUTO,
        help="a precision, or auto for the fastest that passes the gate (default: %(default)s)",
    )
    parser.add_argument("--samples", type=Path, default=SAMPLES, help="folder of sample pictures for the comparison")
    parser.add_argument(
        "--agreement",
        type=float,
        default=Gate.agreement,
        help="gate: smallest share of captions equal to those of fp32",
    )
    parser.add_argument(
        "--edit-distance", type=float, default=Gate.token_edit_distance, help="gate: largest mean token edit distance"
    )
    options = parser.parse_args(arguments)
    # The libraries stay silent, so that an error prints one line: ours.
    for library in (transformers.logging, huggingface_hub.logging):
        library.set_verbosity_error()
    # Downloads take minutes and show progress. Loading takes seconds.
    transformers.logging.disable_progress_bar()
    enable_progress_bars()
    try:
        with stopping.by_signals():
            source = sources.find(options.model, options.revision, options.weights_sha256)
            export(
                source,
                options.folder,
                options.samples,
                name=options.name or source.id,
                note=options.note,
                precision=options.precision,
                gate=Gate(options.agreement, options.edit_distance),
            )
    except ExportError as error:
        print(f"export failed: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"export failed: {error.filename or options.folder}: {error.strerror or error}", file=sys.stderr)
        return 1
    except stopping.Stopped:
        print("stopped; nothing was exported", file=sys.stderr)
        return 130
    return 0


def export(  # noqa: PLR0913 - the command's arguments
    source: sources.Source, folder: Path, samples: Path, *, name: str, note: str, precision: str, gate: Gate
) -> None:
    """Export a model to `folder` if it writes the same captions as transformers. Raises ExportError.

    In fp32 the captions must be equal. With a forced `precision`, the precisions up to this one are compared, and it is
    kept. Otherwise all are compared, and the fastest that passes the gate is kept. model.json has all figures.
    """
    images = _load_images(samples)
    folder.parent.mkdir(parents=True, exist_ok=True)
    processor, preprocessing = loading.load_preprocessing(source)
    tokenizer, exported_tokenizer = loading.load_tokenizer(source)
    _require_room(folder.parent, source.folder)
    _say(f"loading {source.id} at {source.revision}")
    model = loading.load_model(source)
    text = model.config.text_config
    described: dict[str, object] = {
        "id": name,
        "revision": source.revision,
        "note": note,
        "preprocessing": asdict(preprocessing),
        "special_tokens": {"begin": text.bos_token_id, "end": text.sep_token_id},
        "onnxruntime": onnxruntime.__version__,
    }
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name_of_drafts:
        drafts = Path(name_of_drafts)
        rungs = list(LADDER) if precision == AUTO else list(dict.fromkeys(["fp32", precision]))
        _say(f"writing the ONNX graphs for {', '.join(rungs)}")
        write_weights(model, rungs, drafts / "weights")
        _say(f"captioning {len(images)} samples with transformers")
        expected = parity.expect(model, processor, tokenizer, images, MAX_TOKENS)
        del model
        figures: dict[str, Parity] = {}
        for rung in rungs:
            draft = _draft(drafts, rung, exported_tokenizer, described)
            figures[rung] = parity.compare(Captioner(draft), images, expected, MAX_TOKENS)
            _say(f"  {rung:13}{_summary(figures[rung], gate)}")
            if rung == "fp32":
                figures[rung].require_exact()
        chosen = precision
        if precision == AUTO:
            chosen = next(rung for rung in reversed(figures) if rung == "fp32" or gate.passes(figures[rung]))
        draft = drafts / chosen
        evidence = {rung: asdict(measured) | {"passes": gate.passes(measured)} for rung, measured in figures.items()}
        chosen_by = {"chosen_by": "gate" if precision == AUTO else "user", "gate": asdict(gate), "precisions": evidence}
        _describe(draft, json.loads((draft / "model.json").read_bytes()) | chosen_by)
        for path in draft.iterdir():
            # The user of a Lambda container is not the user who built the image.
            path.chmod(0o644)
        if folder.exists():
            folder.rename(drafts / "replaced")
        draft.rename(folder)
    _say(f"{folder} is ready in {chosen}")


def _load_images(samples: Path) -> list[Image.Image]:
    if not samples.is_dir():
        raise ExportError(f"{samples} is not a folder of sample pictures")
    paths = sorted(path for path in samples.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not paths:
        raise ExportError(f"{samples} contains no .jpg, .jpeg or .png for the comparison")
    try:
        return [Image.open(path).convert("RGB") for path in paths]
    except OSError as error:
        raise ExportError(f"a sample picture cannot be read: {error}") from error


def _require_room(folder: Path, weights: Path) -> None:
    """Require that drafts can be written to `folder`. Raises ExportError, and OSError if it cannot be written."""
    with tempfile.TemporaryFile(dir=folder):
        pass
    needed = _ROOM_FACTOR * sum(path.stat().st_size for path in checks.weights(weights))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ExportError(f"{folder} has {free / 1e9:.1f} GB of free space; the export needs {needed / 1e9:.1f} GB")


def _draft(drafts: Path, rung: str, tokenizer: Tokenizer, described: dict[str, object]) -> Path:
    """Assemble a model folder in precision `rung` that `captions.py` can load."""
    draft = drafts / rung
    assemble(drafts / "weights", rung, draft)
    tokenizer.save(str(draft / "tokenizer.json"))
    files = {path.name: sources.sha256(path) for path in sorted(draft.iterdir())}
    _describe(draft, described | {"precision": rung, "files": files})
    return draft


def _summary(measured: Parity, gate: Gate) -> str:
    return (
        f"{measured.identical_captions} of {measured.images} captions equal, token edit distance "
        f"{measured.token_edit_distance:.3f}, logits within {measured.logit_difference:.1e} on {measured.steps} steps: "
        f"{'passes' if gate.passes(measured) else 'does not pass'}"
    )


def _describe(folder: Path, described: dict[str, object]) -> None:
    (folder / "model.json").write_text(json.dumps(described, indent=2) + "\n")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

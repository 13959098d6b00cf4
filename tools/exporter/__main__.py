"""Export a BLIP to a model folder: `python -m tools.exporter MODEL FOLDER`."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from image_processing.captions import Captioner
from tools.exporter import ExportError, parity, sources
from tools.exporter.parity import Parity
from tools.exporter.precisions import LADDER, Gate, assemble, write_weights

MAX_TOKENS = 20
SAMPLES = Path(__file__).parent / "samples"
AUTO = "auto"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a hub id, or a folder in Hugging Face format")
    parser.add_argument("folder", type=Path, help="where the exported model is put; replaced if it exists")
    parser.add_argument("--revision", help="commit of the hub's model")
    parser.add_argument("--weights-sha256", help="digest of a pickled weights file that you trust")
    parser.add_argument("--name", help="what the model is called in model.json (default: hub id or folder name)")
    parser.add_argument("--note", default="", help="what a user should know; shown wherever the model is named")
    parser.add_argument(
        "--precision",
        choices=[*LADDER, AUTO],
        default=AUTO,
        help="force one, or take the fastest that passes the gate (default: %(default)s)",
    )
    parser.add_argument("--samples", type=Path, default=SAMPLES, help="folder of pictures that it is checked on")
    parser.add_argument(
        "--agreement", type=float, default=Gate.agreement, help="gate: least share of captions equal to fp32's"
    )
    parser.add_argument(
        "--edit-distance", type=float, default=Gate.token_edit_distance, help="gate: largest mean token edit distance"
    )
    options = parser.parse_args(arguments)
    try:
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
    return 0


def export(  # noqa: PLR0913 - the command's arguments
    source: sources.Source, folder: Path, samples: Path, *, name: str, note: str, precision: str, gate: Gate
) -> None:
    """Write `folder` once the exported model is shown to do what transformers does. Raises ExportError.

    In fp32 it must be exact. The other precisions are compared too, up to the one that is forced; without
    one, the fastest that passes the gate is kept. model.json has the figures of all.
    """
    images = _load_images(samples)
    _say(f"loading {source.id} at {source.revision}")
    model = sources.load_model(source)
    processor, preprocessing = sources.load_preprocessing(source)
    text = model.config.text_config
    described: dict[str, object] = {
        "id": name,
        "revision": source.revision,
        "note": note,
        "preprocessing": asdict(preprocessing),
        "special_tokens": {"begin": text.bos_token_id, "end": text.sep_token_id},
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name_of_drafts:
        drafts = Path(name_of_drafts)
        rungs = list(LADDER) if precision == AUTO else list(dict.fromkeys(["fp32", precision]))
        _say(f"writing the ONNX graphs for {', '.join(rungs)}")
        write_weights(model, rungs, drafts / "weights")
        _say(f"captioning {len(images)} samples with transformers")
        expected = parity.expect(model, processor, images, MAX_TOKENS)
        del model
        figures: dict[str, Parity] = {}
        for rung in rungs:
            draft = _draft(drafts, rung, source.folder / "tokenizer.json", described)
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
            # A Lambda container runs as another user than the one that built it.
            path.chmod(0o644)
        if folder.exists():
            folder.rename(drafts / "replaced")
        draft.rename(folder)
    _say(f"{folder} is ready in {chosen}")


def _load_images(samples: Path) -> list[Image.Image]:
    paths = sorted([*samples.glob("*.jpg"), *samples.glob("*.png")])
    if not paths:
        raise ExportError(f"{samples} holds no .jpg or .png to check the exported model on")
    return [Image.open(path).convert("RGB") for path in paths]


def _draft(drafts: Path, rung: str, tokenizer: Path, described: dict[str, object]) -> Path:
    """Put a model folder in precision `rung` together that the captioner can load."""
    draft = drafts / rung
    assemble(drafts / "weights", rung, draft)
    shutil.copyfile(tokenizer, draft / "tokenizer.json")
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

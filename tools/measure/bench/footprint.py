"""The size on disk of a function's packages, with all their requirements, and of its model."""

from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tools.template import ROOT

_PIPELINE = ROOT / "layers" / "pipeline" / "requirements.in"
_PROCESSING = ROOT / "layers" / "processing" / "requirements.in"
# This package is counted without its requirements: it needs huggingface-hub only for downloads, so the image has none
# (layers/processing/overrides.txt).
_WITHOUT_REQUIREMENTS = "tokenizers"


def of_ours(model: Path) -> int:
    """Return the bytes of the packages of the upload function and of its model folder."""
    return _packages([*_pinned(_PROCESSING), *_pinned(_PIPELINE)], alone={_WITHOUT_REQUIREMENTS}) + _files(model)


def of_baseline(model: Path) -> int:
    """Return the bytes of the same function if it used torch and transformers."""
    return _packages(["torch", "transformers", "pillow", *_pinned(_PIPELINE)], alone=set()) + _files(model)


def _pinned(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            yield Requirement(line).name


def _packages(names: Iterable[str], alone: set[str]) -> int:
    installed = {canonicalize_name(found.metadata["Name"]): found for found in _installed()}
    waiting, needed = [canonicalize_name(name) for name in names], set[NormalizedName]()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            requirements = [Requirement(text) for text in installed[name].requires or () if name not in alone]
            waiting += [
                canonicalize_name(requirement.name)
                for requirement in requirements
                if not requirement.marker or requirement.marker.evaluate({"extra": ""})
            ]
    return sum(_distribution(installed[name]) for name in needed)


def _installed() -> Iterable[Distribution]:
    (site_packages,) = (ROOT / ".venv-model" / "lib").glob("python3*/site-packages")
    return distributions(path=[str(site_packages)])


def _distribution(distribution: Distribution) -> int:
    paths = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file())


def _files(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())

"""A third format and another thumbnail size are added in a scratch copy: a change touches only what it is about."""

import difflib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_pipeline.errors import ACCEPTED_FILES
from image_pipeline.models import STANDARD_SIZES, ImageFormat, any_of

ROOT = Path(__file__).parents[2]
ADDED = Path(__file__).with_name("changes")
MODELS = "layers/pipeline/image_pipeline/models.py"
PNG = '    PNG = "PNG", "image/png", ("png",), b"\\x89PNG\\r\\n\\x1a\\n", "png"\n'
MEDIUM = '    MEDIUM = "medium", 512, True\n'
FILES = [row.extensions[0].upper() for row in ImageFormat]
LISTED = "- `medium`: 512 \N{MULTIPLICATION SIGN} 512 pixels\n"


@dataclass(frozen=True)
class Change:
    """`edits` has a text of each file, and what replaces it. `files` are copied from `changes/`."""

    edits: dict[str, tuple[str, str]]
    files: dict[str, str]


FORMAT = Change(
    {
        MODELS: (PNG, PNG + '    GIF = "GIF", "image/gif", ("gif",), b"GIF8", "png"\n'),
        "README.md": (ACCEPTED_FILES, any_of([*FILES, "GIF"])),
        "docs/api.md": ("- JPEG (`", "- GIF (`image/gif`): the first frame\n- JPEG (`"),
    },
    {
        "gif.py": "layers/processing/image_processing/formats/gif.py",
        "added_format.py": "tests/unit/test_added_format.py",
    },
)
SIZE = Change(
    {
        MODELS: (MEDIUM, MEDIUM + '    PREVIEW = "preview", 1024\n'),
        "docs/api.md": (LISTED, LISTED + "- `preview`: 1024 \N{MULTIPLICATION SIGN} 1024 pixels\n"),
    },
    {"added_size.py": "tests/unit/test_added_size.py"},
)


def apply(change: Change, copy: Path) -> list[str]:
    """Apply the change to the copy. Return the lines that are new or changed, without the lines of new files."""
    changed = []
    for name, (old, new) in change.edits.items():
        before = (copy / name).read_text()
        assert old in before, name
        after = before.replace(old, new, 1)
        (copy / name).write_text(after)
        changed += [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("+ ")]
    for name, place in change.files.items():
        shutil.copy(ADDED / name, copy / place)
    return changed


# Once such a row really exists, its change is no longer tried.
CHANGES = [change for change, rows in ((FORMAT, ImageFormat), (SIZE, STANDARD_SIZES)) if len(rows) == 2]


@pytest.mark.skipif(not CHANGES, reason="both were added")
def test_a_change_touches_only_what_it_is_about(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    unneeded = (".git", ".venv*", ".*cache", ".aws-sam", "build", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*unneeded))
    changed = []
    for change in CHANGES:
        assert len(apply(change, copy)) <= 3
        changed += [*change.edits, *change.files.values()]
    added = [name for name in changed if "test_added" in name]
    # The packages of the copy come before those that are installed.
    layers = [str(copy / "layers" / name) for name in ("pipeline", "processing")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(layers)}
    suites = [f"tests/unit/test_{name}.py" for name in ("formats_and_sizes", "openapi", "documentation")]
    for command in (
        ["ruff", "format", "--check", *changed],
        ["tools.docs.openapi"],
        ["pytest", "-q", "-p", "no:cacheprovider", *added, *suites],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=copy, env=environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

"""Modules import only from lower layers, as the contracts in pyproject.toml require."""

import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent.parent
CONTRACTS = (ROOT / "pyproject.toml").read_text()


def check(contracts: Path) -> subprocess.CompletedProcess[str]:
    # import-linter runs in another process, because it turns off all other loggers.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--config", str(contracts), "--no-cache"]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)


def test_no_import_points_up() -> None:
    done = check(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("rule", "broken_rule"),
    [
        (
            '    "image_pipeline.storage",\n    "image_pipeline.threads | image_pipeline.observability",',
            '    "image_pipeline.threads | image_pipeline.observability",\n    "image_pipeline.storage",',
        ),
        ('    "tools",\n    "functions | clients",', '    "functions | clients",\n    "tools",'),
        ('forbidden_modules = ["PIL", ', 'forbidden_modules = ["aws_lambda_powertools", "PIL", '),
    ],
)
def test_a_broken_rule_is_noticed(tmp_path: Path, rule: str, broken_rule: str) -> None:
    assert rule in CONTRACTS
    changed = tmp_path / "pyproject.toml"
    changed.write_text(CONTRACTS.replace(rule, broken_rule))
    done = check(changed)
    assert done.returncode == 1
    assert "1 broken" in done.stdout


def test_every_module_is_checked() -> None:
    graph = grimp.build_graph("image_pipeline", "image_processing", "functions", "tools", cache_dir=None)
    files = [*ROOT.glob("layers/*/image_*/**/*.py"), *ROOT.glob("functions/*/app.py")]
    names = {".".join(path.with_suffix("").parts[-2:]) for path in files if path.name != "__init__.py"}
    assert len(names) > 40
    assert not [name for name in names if not any(module.endswith(name) for module in graph.modules)]


def test_the_image_has_every_module_that_the_exporter_imports() -> None:
    graph = grimp.build_graph("image_pipeline", "image_processing", "tools", cache_dir=None)
    imported = graph.find_upstream_modules("tools.exporter", as_package=True) | {"tools", "tools.exporter"}
    stage = (ROOT / "functions" / "upload_image" / "Dockerfile").read_text().partition(" AS code")[0]
    copied = " ".join(re.findall(r"^COPY (.+)$", stage.replace("\\\n", " "), flags=re.MULTILINE))
    allowed = (ROOT / ".dockerignore").read_text()
    for module in imported:
        path = graph_path(module)
        assert path in copied, path
        assert f"!{path}" in allowed or path.startswith("layers/"), path


def graph_path(module: str) -> str:
    """Return the file of a module, or the folder of the exporter, relative to the repository."""
    if module.startswith("tools.exporter"):
        return "tools/exporter"
    layers = {"image_pipeline": "layers/pipeline/", "image_processing": "layers/processing/"}
    path = ROOT / (layers.get(module.partition(".")[0], "") + module.replace(".", "/"))
    return str((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).relative_to(ROOT))

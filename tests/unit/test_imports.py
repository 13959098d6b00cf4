"""Modules import only from lower layers, as the contracts in pyproject.toml require."""

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent.parent
CONTRACTS = (ROOT / "pyproject.toml").read_text()


def check(contracts: Path) -> subprocess.CompletedProcess[str]:
    # In a process of its own, because import-linter turns off all other loggers.
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
        ('    "tools",\n    "functions",', '    "functions",\n    "tools",'),
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

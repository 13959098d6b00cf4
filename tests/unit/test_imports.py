"""Modules import only from lower layers, as the contracts in pyproject.toml require."""

from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent.parent
CONTRACTS = (ROOT / "pyproject.toml").read_text()


def test_no_import_points_up(capsys: pytest.CaptureFixture[str]) -> None:
    broken = lint_imports(str(ROOT / "pyproject.toml"), no_cache=True)
    assert not broken, capsys.readouterr().out


@pytest.mark.parametrize(
    ("rule", "broken_rule"),
    [
        ('"image_pipeline.storage",', '"image_pipeline.storage | image_pipeline.threads",'),
        ('    "tools",\n    "functions",', '    "functions",\n    "tools",'),
        ('forbidden_modules = ["PIL", ', 'forbidden_modules = ["aws_lambda_powertools", "PIL", '),
    ],
)
def test_a_broken_rule_is_noticed(tmp_path: Path, rule: str, broken_rule: str) -> None:
    assert rule in CONTRACTS
    changed = tmp_path / "pyproject.toml"
    changed.write_text(CONTRACTS.replace(rule, broken_rule))
    assert lint_imports(str(changed), no_cache=True)


def test_every_module_is_checked() -> None:
    graph = grimp.build_graph("image_pipeline", "image_processing", "functions", "tools", cache_dir=None)
    files = [*ROOT.glob("layers/*/image_*/**/*.py"), *ROOT.glob("functions/*/app.py")]
    names = {".".join(path.with_suffix("").parts[-2:]) for path in files if path.name != "__init__.py"}
    assert len(names) > 40
    assert not [name for name in names if not any(module.endswith(name) for module in graph.modules)]

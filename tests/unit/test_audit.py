"""Checks the verdicts about the answers of pip-audit. The answers here have the format of pip-audit 2.10."""

import json
import subprocess
from typing import Any

import pytest

from tools import audit

SOUND = {"name": "pillow", "version": "12.0.0", "vulns": []}
WEAK = {
    "name": "urllib3",
    "version": "2.0.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["2.0.1"], "aliases": [], "description": ""}],
}
UNKNOWN = {"name": "six", "skip_reason": "Dependency not found on PyPI and could not be audited: six (1.17.0)"}


def answering(monkeypatch: pytest.MonkeyPatch, packages: list[dict[str, Any]] | None) -> None:
    """Let pip-audit answer with these packages, or fail because there is no network."""
    output = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
    done = subprocess.CompletedProcess([], 0, output, "Traceback\nConnectionError: no route to host")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([SOUND], 0, "no known vulnerabilities"),
        ([SOUND, WEAK], 1, "urllib3 2.0.0: PYSEC-2026-1, mended in 2.0.1"),
        ([SOUND, UNKNOWN], 1, "six: Dependency not found"),
        # A proxy that answers 404 to everything. pip-audit itself says "No known vulnerabilities found".
        ([UNKNOWN, UNKNOWN], 0, "skipped: the advisories of PyPI cannot be reached"),
        (None, 0, "ConnectionError: no route to host"),
    ],
)
def test_only_an_answer_about_every_package_counts(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    packages: list[dict[str, Any]] | None,
    status: int,
    said: str,
) -> None:
    answering(monkeypatch, packages)
    assert audit.main(["requirements.txt"]) == status
    printed = capsys.readouterr()
    assert said in printed.out + printed.err

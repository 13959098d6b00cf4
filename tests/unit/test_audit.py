"""Checks the verdicts about the output of pip-audit. The output here has the format of pip-audit 2.10."""

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


NO_NETWORK = "Traceback (most recent call last):\nrequests.exceptions.ProxyError: Cannot connect to proxy"
BROKEN = "ERROR:pip_audit._cli:requirement file requirements.txt contains invalid specifiers"


def auditing(monkeypatch: pytest.MonkeyPatch, *responses: list[dict[str, Any]] | str) -> None:
    """Let each run of pip-audit return the next of these: packages, or an error without a report."""
    done = [
        subprocess.CompletedProcess([], 1, "", response)
        if isinstance(response, str)
        else subprocess.CompletedProcess([], 0, json.dumps({"dependencies": response, "fixes": []}), "")
        for response in responses
    ]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done.pop(0))


@pytest.mark.parametrize(
    ("response", "status", "said"),
    [
        ([SOUND], 0, "1 packages, 0 problems"),
        ([SOUND, WEAK], 1, "urllib3 2.0.0: PYSEC-2026-1, mended in 2.0.1"),
        ([SOUND, UNKNOWN], 1, "six: Dependency not found"),
        # A proxy returns 404 to everything. Then pip-audit itself says "No known vulnerabilities found".
        ([UNKNOWN, UNKNOWN], 0, "skipped, because the advisories of PyPI cannot be reached"),
        (NO_NETWORK, 0, "skipped, because the advisories of PyPI cannot be reached"),
        (BROKEN, 1, "pip-audit failed: ERROR"),
        ("", 1, "pip-audit failed"),
    ],
)
def test_only_a_response_about_every_package_counts(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    response: list[dict[str, Any]] | str,
    status: int,
    said: str,
) -> None:
    auditing(monkeypatch, response)
    assert audit.main(["requirements.txt"]) == status
    assert said in capsys.readouterr().out


def test_a_network_that_fails_later_does_not_hide_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    auditing(monkeypatch, [WEAK], NO_NETWORK)
    assert audit.main(["first.txt", "second.txt"]) == 1

"""Look for known vulnerabilities in locked requirements with pip-audit: `python -m tools.audit requirements.txt ...`.

Files whose packages cannot be looked up, because PyPI cannot be reached, are skipped with a message.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_PIP_AUDIT = Path(".venv-audit/bin/pip-audit")
# Advisories that do not concern this project: their ids, each with the reason.
_IGNORED_ADVISORIES: dict[str, str] = {}
# If pip-audit fails because of the network, its last line contains one of these words.
_NO_NETWORK = re.compile("Connect|Proxy|Timeout")


def main(arguments: Sequence[str]) -> int:
    """Audit each file. Return 1 if there is a vulnerability, if some packages were not found, or if pip-audit fails."""
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    options += [f"--ignore-vuln={each}" for each in _IGNORED_ADVISORIES]
    failed = False
    for path in arguments:
        command: list[str | Path] = [_PIP_AUDIT, *options, "--requirement", path]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        packages = json.loads(done.stdout)["dependencies"] if done.stdout else []
        reason = done.stderr.strip().rpartition("\n")[2]
        if not packages and not _NO_NETWORK.search(reason):
            print(f"{path}: pip-audit failed: {reason}")
            failed = True
        # A proxy that returns 404 looks as if PyPI had none of the packages.
        elif all("skip_reason" in package for package in packages):
            print(f"{path}: skipped, because the advisories of PyPI cannot be reached")
        else:
            problems = list(_problems(packages))
            print(f"{path}: {len(packages)} packages, {len(problems)} problems", *problems, sep="\n  ")
            failed |= bool(problems)
    return int(failed)


def _problems(packages: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each vulnerability, and for each package that was not looked up, in the report of pip-audit."""
    for package in packages:
        if "skip_reason" in package:
            yield f"{package['name']}: {package['skip_reason']}"
        for found in package.get("vulns", []):
            fixed = ", ".join(found["fix_versions"]) or "no version yet"
            yield f"{package['name']} {package['version']}: {found['id']}, mended in {fixed}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

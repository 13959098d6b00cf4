"""Look for known vulnerabilities in locked requirements with pip-audit: `python -m tools.audit requirements.txt ...`.

Without a connection to the advisories of PyPI, it says so and does not fail.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_PIP_AUDIT = Path(".venv-audit/bin/pip-audit")
# Advisories that do not concern this project: their ids, each with the reason.
_ACCEPTED: dict[str, str] = {}


def main(arguments: Sequence[str]) -> int:
    """Audit each file. Return 1 if there is a vulnerability, or if some packages could not be looked up."""
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    problems = []
    for path in arguments:
        ignored = [f"--ignore-vuln={each}" for each in _ACCEPTED]
        done = subprocess.run(
            [_PIP_AUDIT, *options, *ignored, "--requirement", path], check=False, capture_output=True, text=True
        )
        try:
            packages = json.loads(done.stdout)["dependencies"]
        except ValueError:
            packages = []
        if all("skip_reason" in package for package in packages):
            last = done.stderr.strip().rpartition("\n")[2]
            print(f"skipped: the advisories of PyPI cannot be reached\n{last}", file=sys.stderr)
            return 0
        print(f"{path}: {len(packages)} packages")
        problems += list(found_problems(packages))
    print("\n".join(problems) if problems else "no known vulnerabilities")
    return int(bool(problems))


def found_problems(packages: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each vulnerability, and for each package that was not looked up, in the answer of pip-audit."""
    for package in packages:
        if "skip_reason" in package:
            yield f"{package['name']}: {package['skip_reason']}"
        for found in package.get("vulns", []):
            fixed = ", ".join(found["fix_versions"]) or "no version yet"
            yield f"{package['name']} {package['version']}: {found['id']}, mended in {fixed}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

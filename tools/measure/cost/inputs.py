"""What the calculations start from: the prices and limits of AWS, measured times, and assumptions."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

# A function with this many megabytes has one vCPU (Lambda Developer Guide, "Configure Lambda function memory").
MEGABYTES_PER_CPU = 1769
_FILE = Path(__file__).with_name("inputs.toml")


@cache
def read() -> dict[str, Any]:
    """Return the tables of inputs.toml."""
    return tomllib.loads(_FILE.read_text())

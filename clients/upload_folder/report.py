"""The results: a CSV file, and what the command prints."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from clients.upload_folder.journal import Entry

_COLUMNS = ("image_id", "status", "width", "height", "caption", "error")


def write_csv(path: Path, folder: Path, results: Mapping[Path, Entry]) -> None:
    """Write one row per file, with its name relative to the folder."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", *_COLUMNS))
        for picture, result in sorted(results.items()):
            writer.writerow((picture.relative_to(folder), *(result.get(name) for name in _COLUMNS)))


def print_summary(folder: Path, results: Mapping[Path, Entry]) -> None:
    """Print how many files have each status, and each file that is not a finished image."""
    counts = Counter(result["status"] for result in results.values())
    print("  ".join(f"{status}: {number}" for status, number in sorted(counts.items(), reverse=True)))
    for picture, result in sorted(results.items()):
        if result["status"] != "success":
            print(f"  {picture.relative_to(folder)}  {result['status']}: {result['error']}")

"""Runs Locust and reads what it measured."""

import csv
import subprocess
from dataclasses import dataclass
from pathlib import Path

_LOCUST = Path(".venv-load/bin/locust")
_SECONDS = 30


@dataclass(frozen=True)
class Step:
    """The results of one number of clients: times in seconds, and rates per second."""

    clients: int
    requests: float
    uploads: float
    upload_p50: float
    upload_p95: float
    list_p50: float
    list_p95: float
    mean: float
    failures: int


def run(url: str, clients: int, results: Path) -> Step:
    """Let Locust send requests, and return what it measured."""
    options = f"--users {clients} --spawn-rate {clients} --run-time {_SECONDS}s --stop-timeout 60".split()
    command: list[str | Path] = [
        _LOCUST,
        "--headless",
        "--locustfile",
        "tools/measure/load/locustfile.py",
        "--host",
        url,
    ]
    log_file = results.with_suffix(".log")
    with log_file.open("wb") as log:
        done = subprocess.run([*command, *options, "--csv", results], check=False, stdout=log, stderr=log)
    measured = results.with_name(f"{results.name}_stats.csv")
    if done.returncode not in (0, 1) or not measured.is_file():  # 1: some requests failed
        raise SystemExit(f"error: Locust failed; see {log_file}")
    with measured.open() as lines:
        rows = {row["Name"]: row for row in csv.DictReader(lines)}
    upload, listed, everything = rows["upload"], rows["list"], rows["Aggregated"]
    return Step(
        clients=clients,
        requests=float(everything["Requests/s"]),
        uploads=float(upload["Requests/s"]),
        upload_p50=float(upload["50%"]) / 1000,
        upload_p95=float(upload["95%"]) / 1000,
        list_p50=float(listed["50%"]) / 1000,
        list_p95=float(listed["95%"]) / 1000,
        mean=float(everything["Average Response Time"]) / 1000,
        failures=int(everything["Failure Count"]),
    )

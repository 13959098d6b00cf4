"""Run all measurements, write docs/benchmarks.md and print the main ratios as name=value: `make bench`."""

import argparse
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tools.measure.bench import footprint, processes, processor, quota, report, work
from tools.measure.bench.processes import (
    WITH_TORCH,
    WITHOUT_TORCH,
    MeasurementError,
    figures_of,
    run,
    started,
)
from tools.measure.bench.report import BASELINE, MEMORY_SIZES, OPENVINO_INT8, PRECISIONS, TOKENS, TORCH_INT8, Measured
from tools.template import ROOT

SCRATCH = ROOT / "build" / "bench"
PHOTOGRAPHS = ROOT / "tools" / "exporter" / "samples"
COLD_STARTS = 5
WARM_ROUNDS = 8
CAPTIONS_PER_ROUND = 6
CAPTIONS_OF_A_PAIR = 6
CAPTIONS_WITH_MEMORY = 12
UPLOADS = 15
_START = time.monotonic()


def main() -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--native", action="store_true", help="let the engines use all that the processor can do")
    native = parser.parse_args().native
    try:
        if not native:
            processes.VARIABLES |= processor.only_avx2()
        results = _measure()
    except MeasurementError as error:
        print(f"bench failed: {error}", file=sys.stderr)
        return 1
    if native:
        print(report.table(results))
    else:
        _say("writing docs/benchmarks.md")
        report.write(ROOT / "docs", results)
    for figure in report.figures(results):
        print(f"{figure.name}={figure.value:.3f}")
    return 0


def _measure() -> report.Results:
    source, exported = _prepare()
    peers = {
        TORCH_INT8: [
            WITH_TORCH,
            "-m",
            "tools.measure.bench.baseline",
            "int8",
            str(source),
            str(PHOTOGRAPHS),
            str(TOKENS),
        ],
        OPENVINO_INT8: [
            WITH_TORCH,
            "-m",
            "tools.measure.bench.openvino_peer",
            str(source),
            str(PHOTOGRAPHS),
            str(TOKENS),
        ],
    }
    commands = {BASELINE: [WITH_TORCH, "-m", "tools.measure.bench.baseline", "fp32", str(source)]}
    commands |= {name: [WITHOUT_TORCH, "-m", "tools.measure.bench.ours", str(exported[name])] for name in PRECISIONS}
    commands = {name: [*command, str(PHOTOGRAPHS), str(TOKENS)] for name, command in commands.items()}
    measured = {name: Measured() for name in (BASELINE, *peers, *PRECISIONS)}
    _say("the best rates of this machine")
    rates = figures_of(WITH_TORCH, "tools.measure.bench.machine")
    for number in range(COLD_STARTS):
        _say(f"cold starts, round {number + 1} of {COLD_STARTS}")
        for name, command in commands.items():
            with started(command) as process:
                measured[name].cold.append(process.response()["first_caption_at"] - process.started_at)
    _measure_warm(commands | peers, measured)
    for megabytes in MEMORY_SIZES:
        _say(f"warm captions with the CPU time of {megabytes} MB")
        for name, command in (commands | peers).items():
            measured[name].with_memory[megabytes] = _with_memory(megabytes, command)
    for name, command in commands.items():
        _say(f"two processes at once: {name}")
        measured[name].pair_rate = _pair_rate(command)
    measured[BASELINE].bytes_on_disk = footprint.of_baseline(source)
    for name, folder in exported.items():
        measured[name].bytes_on_disk = footprint.of_ours(folder)
    _say(f"{UPLOADS} uploads of 12 megapixels")
    photograph = PHOTOGRAPHS / "mountain.jpg"
    uploads = figures_of(
        WITHOUT_TORCH, "tools.measure.bench.upload", str(exported["int8"]), str(photograph), str(TOKENS), str(UPLOADS)
    )
    # Others may have used the machine during the first measurement.
    rates = {
        name: max(rate, rates[name]) for name, rate in figures_of(WITH_TORCH, "tools.measure.bench.machine").items()
    }
    caption = work.of_model(source)
    limits = {name: caption.limit(rates, *weights) for name, weights in PRECISIONS.items()}
    return report.Results(processor.extensions(processes.VARIABLES), rates, measured, limits, uploads)


def _prepare() -> tuple[Path, dict[str, Path]]:
    """Write a BLIP of full size with random weights, and export it. Return its folder, and its exports by precision."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    source, sample = SCRATCH / "source", SCRATCH / "sample"
    sample.mkdir(parents=True)
    shutil.copy(PHOTOGRAPHS / "coffee.jpg", sample)
    _say("writing a BLIP of full size with random weights")
    run(WITH_TORCH, "tools.measure.random_blip", str(source))
    exported = {}
    for name in PRECISIONS:
        _say(f"exporting it in {name}")
        exported[name] = SCRATCH / name
        # Captions of random weights cannot be compared. So each precision is forced, and one sample is enough.
        options = ("--precision", name, "--samples", str(sample))
        run(WITH_TORCH, "tools.exporter", str(source), str(exported[name]), *options)
    return source, exported


def _measure_warm(commands: dict[str, list[str]], measured: dict[str, Measured]) -> None:
    """Keep all engines loaded and let them caption in turns, so that slow phases of the machine affect all of them."""
    with ExitStack() as stack:
        loaded = {name: stack.enter_context(started(command)) for name, command in commands.items()}
        for process in loaded.values():
            process.response()
        for number in range(WARM_ROUNDS):
            _say(f"warm captions, round {number + 1} of {WARM_ROUNDS}")
            for name, process in loaded.items():
                process.ask("whole", 1 + CAPTIONS_PER_ROUND)
                response = process.response()
                # The first caption of a turn is not measured: the other engines have filled the processor's caches.
                measured[name].warm += [parts["caption"] for parts in response["measured"][1:]]
                measured[name].peak_bytes = response["peak_bytes"]
                process.ask("parts", 2)
                for parts in process.response()["measured"]:
                    measured[name].encoder.append(parts["encoder"])
                    measured[name].token.append(parts["token"])


def _with_memory(megabytes: int, command: list[str]) -> list[float]:
    """Return the seconds of warm captions. The process gets the CPU time of a Lambda function with this memory size."""
    with quota.limit(megabytes) as limited, started([*limited, *command]) as process:
        process.response()
        process.ask("whole", 1 + CAPTIONS_WITH_MEMORY)
        return [parts["caption"] for parts in process.response()["measured"][1:]]


def _pair_rate(command: list[str]) -> float:
    """Return the captions per second of two processes together."""
    with started(command) as one, started(command) as other:
        pair = (one, other)
        for process in pair:
            process.response()
        start = time.monotonic()
        for process in pair:
            process.ask("whole", CAPTIONS_OF_A_PAIR)
        for process in pair:
            process.response()
        return len(pair) * CAPTIONS_OF_A_PAIR / (time.monotonic() - start)


def _say(text: str) -> None:
    print(f"[{time.monotonic() - _START:4.0f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

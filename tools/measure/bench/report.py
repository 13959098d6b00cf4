"""Writes docs/benchmarks.md and its chart from the measurements."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

import matplotlib as mpl
from matplotlib import pyplot as plt

from tools.measure.bench import processor
from tools.measure.bench.work import Limit
from tools.measure.cost import inputs
from tools.measure.cost.inputs import MEGABYTES_PER_CPU

TOKENS = 12
BASELINE = "transformers fp32"
TORCH_INT8 = "transformers int8"
OPENVINO_INT8 = "OpenVINO int8"
# The precision of the weights of encoder and decoder; see tools/exporter/precisions.py.
PRECISIONS = {"fp32": ("fp32", "fp32"), "int8-decoder": ("fp32", "int8"), "int8": ("int8", "int8")}
_OUR_PRECISION = "int8"
# Memory of Lambda functions, in megabytes: one vCPU, the default of template.yaml, two vCPUs.
MEMORY_SIZES = (1769, 3008, 3538)
_DEFAULT_MEMORY = 3008
_MEGA, _GIGA, _MILLI = 1e6, 1e9, 1e3


@dataclass(frozen=True)
class Figure:
    """A figure that make bench prints, and its goal as text."""

    name: str
    meaning: str
    value: float
    goal: str = ""


@dataclass
class Measured:
    """The measurements of one engine, in seconds and bytes.

    `pair_rate` is captions per second of two processes. `with_memory` has the times of warm captions with the CPU time
    of a function, by its memory in megabytes. Peers are only measured warm.
    """

    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    encoder: list[float] = field(default_factory=list)
    token: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    bytes_on_disk: int = 0
    pair_rate: float = 0
    with_memory: dict[int, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """All that a run measured.

    `extensions`: the extensions of the processor that the engines could use. `rates`: see `machine.py`. `limits`: of
    our engines, by name. `uploads`: see `upload.py`.
    """

    extensions: Sequence[str]
    rates: Mapping[str, float]
    engines: Mapping[str, Measured]
    limits: Mapping[str, Limit]
    uploads: Mapping[str, float]


def write(docs: Path, results: Results) -> None:
    """Write the page and the chart to `docs`."""
    _draw(docs / "benchmarks.png", results)
    page = docs / "benchmarks.md"
    # The text below the marker is written by hand and is kept.
    _, marker, notes = page.read_text().partition(_MARKER) if page.exists() else ("", _MARKER, "\n")
    page.write_text(_page(results) + marker + notes)


_MARKER = "<!-- Written by make bench up to here. -->"


def table(results: Results) -> str:
    """Return the table of the engines with all cores of the machine."""
    rows = "\n".join(_row(name, engine, results.limits.get(name)) for name, engine in results.engines.items())
    return f"""\
| engine | start → first caption | warm p50 | warm p95 | encoder | per token | peak memory | packages + weights | captions/s, 1 process | 2 processes | limit | p50 / limit |
|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


def _page(results: Results) -> str:
    rates, uploads = results.rates, results.uploads
    limit = results.limits[_OUR_PRECISION]
    memory = "\n".join(_memory_row(name, engine) for name, engine in results.engines.items())
    goals = "\n".join(
        f"| `{each.name}` | {each.meaning} | {each.value:.3f} | {each.goal} |" for each in figures(results)
    )
    sizes = " | ".join(f"{size} MB, {size / MEGABYTES_PER_CPU:.1f} vCPU" for size in MEMORY_SIZES)
    return f"""# Benchmarks

For developers, and for people who choose a precision or a memory size.

`make bench` measured this page in one run on {datetime.now(UTC):%Y-%m-%d}. The model has the exact size of BLIP-base
and random weights. Its speed and memory are right, but its captions mean nothing. The pictures are photographs of
`tools/exporter/samples`. A caption has {TOKENS} tokens.

Machine: {processor.name()} ({", ".join(results.extensions)}), {len(os.sched_getaffinity(0))} cores, {_physical_memory() / _GIGA:.0f} GB,
{platform.system()}, Python {platform.python_version()}, onnxruntime {version("onnxruntime")}.
Its best rates are {rates["fp32"] / _GIGA:.0f} billion operations per second in fp32,
{rates["int8"] / _GIGA:.0f} in int8, and {rates["bytes"] / _GIGA:.1f} GB/s from memory.

## With the CPU time of a Lambda function

AWS promises a processor with AVX2, but no newer instructions. A function with {MEGABYTES_PER_CPU} MB has one vCPU,
and more memory gives more vCPUs. The cells show the median time of a warm caption, and the price of a million
captions.

| engine | {sizes} |
|---|{"---|" * len(MEMORY_SIZES)}
{memory}

The price includes the duration and the requests of x86 functions in us-east-1, in November 2026.

## All cores of the machine

![Seconds per caption, from the start of the process and warm, per engine](benchmarks.png)

{table(results)}
| figure | meaning | here | goal |
|---|---|---|---|
{goals}

An upload of 12 megapixels ({uploads["bytes"] / _MEGA:.1f} MB JPEG) through the handler, on moto, in int8, takes {_ms(uploads["upload"])}.
The caption alone takes {_ms(uploads["caption"])}. If thumbnails and caption were made one after the other, the upload would
take {_ms(uploads["upload_in_turn"])}. With `duplicates=return`, the same file takes {_ms(uploads["known"])} if it is known.

## How it is measured

- The baseline is the usual Lambda handler: `BlipForConditionalGeneration.from_pretrained(...)` and `generate`, eager,
  in fp32, with the default threads of torch.
- {TORCH_INT8} is the baseline after `quantize_dynamic` of its linear layers.
- {OPENVINO_INT8} has the encoder in static int8, quantised by NNCF with 12 photographs, and the weights of the decoder
  in int8. It runs the same graphs as ours.
- CPU time of a function: a control group of Linux gives the process its share of each 100 ms.
- Start → first caption: from the start of the interpreter to the caption. The files are in the page cache. Each
  process is new; the engines take turns. The value is the median.
- Warm: all engines are loaded and take turns. The time is from the photograph to the tokens. The values are medians.
- Peak memory: VmHWM of the process, which includes mapped weights.
- Packages: all files of the required packages, without bytecode.
- If the processor can do more than AVX2, `make bench` hides that from the measured processes, where it can:
  `tools/measure/bench/avx2.c`. `make bench NATIVE=1` hides nothing. It prints its table, and does not write this page.
- The limit is the time at the best rates of this machine (`tools/measure/bench/work.py`). For the encoder, it counts
  the products with the weights, and attention in fp32: {_ms(limit.encoder)} in int8. For each token, it counts one read
  of the weights, and the products with the states of the image in fp32: {limit.token * _MILLI:.1f} ms in int8. The
  rates are the better of torch and ONNX Runtime on 2048 x 2048 matrices, and a dot product over 1 GiB.
- Two processes share the cores, like two containers on one machine. Lambda runs one request per container.

"""


def figures(results: Results) -> list[Figure]:
    """Return the figures that matter."""
    engines, limit, uploads = results.engines, results.limits[_OUR_PRECISION], results.uploads
    baseline, best = engines[BASELINE], engines[_OUR_PRECISION]
    warm, limited = median(best.warm), median(best.with_memory[_DEFAULT_MEMORY])
    # The goals of warm captions are for a processor as Lambda promises it.
    kind, goal = ("avx2", "≤ 0.42") if len(results.extensions) == 1 else ("native", "")
    with_memory = f"in int8 with the CPU time of {_DEFAULT_MEMORY} MB"
    return [
        Figure(f"{kind}_ratio_warm", "warm caption, int8 / baseline", warm / median(baseline.warm), goal),
        Figure(
            f"{kind}_ratio_torch_int8",
            f"warm caption, int8 / {TORCH_INT8}",
            warm / median(engines[TORCH_INT8].warm),
        ),
        Figure(
            f"{kind}_ratio_openvino",
            f"warm caption, int8 / {OPENVINO_INT8}",
            warm / median(engines[OPENVINO_INT8].warm),
        ),
        Figure(f"{kind}_ratio_to_limit", "warm caption / limit, int8", warm / limit.caption(TOKENS)),
        Figure(f"{kind}_encoder_to_limit", "encoder / limit, int8", median(best.encoder) / limit.encoder),
        Figure(f"{kind}_token_to_limit", "token / limit, int8", median(best.token) / limit.token),
        Figure(f"{kind}_quota_ms", f"warm caption {with_memory}", limited * _MILLI),
        Figure(f"dollars_per_million_{kind}", f"a million captions {with_memory}", _dollars(limited, _DEFAULT_MEMORY)),
        Figure(
            "ratio_cold",
            "start → first caption, int8 / baseline",
            median(best.cold) / median(baseline.cold),
            "≤ 0.25",
        ),
        Figure("ratio_rss", "peak memory, int8 / baseline", best.peak_bytes / baseline.peak_bytes, "≤ 0.45"),
        Figure(
            "ratio_bytes", "packages + weights, int8 / baseline", best.bytes_on_disk / baseline.bytes_on_disk, "≤ 0.25"
        ),
        Figure(
            "ratio_warm_fp32", "warm caption, fp32 / baseline", median(engines["fp32"].warm) / median(baseline.warm)
        ),
        Figure(
            "ratio_overhead",
            "an upload without its caption / the caption",
            uploads["upload"] / uploads["caption"] - 1,
            "≤ 0.15",
        ),
        Figure(
            "ratio_known",
            "an upload of a known file with `duplicates=return` / the caption",
            uploads["known"] / uploads["caption"],
            "≤ 0.15",
        ),
    ]


def _memory_row(name: str, engine: Measured) -> str:
    cells = [
        f"{_ms(median(engine.with_memory[size]))}, {_dollars(median(engine.with_memory[size]), size):.2f} $"
        for size in MEMORY_SIZES
    ]
    return f"| {' | '.join([name, *cells])} |"


def _dollars(seconds: float, megabytes: int) -> float:
    """Return the price of a million captions on Lambda."""
    prices = inputs.read()["prices"]
    dollars: float = seconds * megabytes / 1024 * prices["lambda_gb_second"] + prices["lambda_request"]
    return _MEGA * dollars


def _row(name: str, engine: Measured, limit: Limit | None) -> str:
    warm = median(engine.warm)
    least = limit.caption(TOKENS) if limit else 0
    cells = [
        name,
        f"{median(engine.cold):.2f} s" if engine.cold else "",
        _ms(warm),
        _ms(quantiles(engine.warm, n=20)[-1]),
        _ms(median(engine.encoder)),
        f"{median(engine.token) * _MILLI:.1f} ms",
        *(f"{size / _MEGA:.0f} MB" if size else "" for size in (engine.peak_bytes, engine.bytes_on_disk)),
        f"{1 / warm:.2f}",
        f"{engine.pair_rate:.2f}" if engine.pair_rate else "",
        *((_ms(least), f"{warm / least:.2f}") if least else ("", "")),
    ]
    return f"| {' | '.join(cells)} |"


def _draw(path: Path, results: Results) -> None:
    mpl.use("Agg")
    measured, limits = results.engines, results.limits
    figure, (cold, warm) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained", sharey=True)
    names = [name for name, engine in measured.items() if engine.cold]
    colours = ["#9aa0a6" if name == BASELINE else "#1a73e8" for name in names]
    for axes, title, values in (
        (cold, "process start to first caption, s", [median(measured[name].cold) for name in names]),
        (warm, "warm caption, s", [median(measured[name].warm) for name in names]),
    ):
        bars = axes.barh(names, values, color=colours)
        axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=4)
        axes.set_title(title, fontsize=11, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.15)
    for number, name in enumerate(names):
        if name in limits:
            warm.plot([limits[name].caption(TOKENS)] * 2, [number - 0.4, number + 0.4], color="black", linewidth=2)
    warm.plot([], [], color="black", linewidth=2, label="limit of the machine")
    warm.legend(frameon=False, loc="lower right")
    cold.invert_yaxis()
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _ms(seconds: float) -> str:
    return f"{seconds * _MILLI:.0f} ms"


def _physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

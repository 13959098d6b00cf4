"""Writes docs/benchmarks.md and its chart from the measurements."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

import matplotlib as mpl
from matplotlib import pyplot as plt

TOKENS = 12
BASELINE = "transformers fp32"
# The precision of the weights of encoder and decoder; see tools/exporter/precisions.py.
PRECISIONS = {"fp32": ("fp32", "fp32"), "int8-decoder": ("fp32", "int8"), "int8": ("int8", "int8")}
_BEST = "int8"
_MEGA, _GIGA, _MILLI = 1e6, 1e9, 1e3


@dataclass
class Measured:
    """The measurements of one engine, in seconds and bytes. `pair_rate` is captions per second of two processes."""

    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    encoder: list[float] = field(default_factory=list)
    token: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    bytes_on_disk: int = 0
    pair_rate: float = 0


def write(
    docs: Path,
    measured: Mapping[str, Measured],
    rates: Mapping[str, float],
    limits: Mapping[str, float],
    uploads: Mapping[str, float],
) -> dict[str, float]:
    """Write the page and the chart to `docs`, and return the ratios that matter, by name."""
    baseline, best = measured[BASELINE], measured[_BEST]
    ratios = {
        "ratio_warm": median(best.warm) / median(baseline.warm),
        "ratio_cold": median(best.cold) / median(baseline.cold),
        "ratio_rss": best.peak_bytes / baseline.peak_bytes,
        "ratio_bytes": best.bytes_on_disk / baseline.bytes_on_disk,
        "ratio_warm_fp32": median(measured["fp32"].warm) / median(baseline.warm),
        "ratio_to_limit": median(best.warm) / limits[_BEST],
        "ratio_overhead": uploads["upload"] / uploads["caption"] - 1,
    }
    _draw(docs / "benchmarks.png", measured, limits)
    page = docs / "benchmarks.md"
    # The text below the marker is written by hand and is kept.
    _, marker, notes = page.read_text().partition(_MARKER) if page.exists() else ("", _MARKER, "\n")
    page.write_text(_page(measured, rates, limits, uploads, ratios) + marker + notes)
    return ratios


_MARKER = "<!-- Written by make bench up to here. -->"


def _page(
    measured: Mapping[str, Measured],
    rates: Mapping[str, float],
    limits: Mapping[str, float],
    uploads: Mapping[str, float],
    ratios: Mapping[str, float],
) -> str:
    engines = "\n".join(_row(name, engine, limits.get(name)) for name, engine in measured.items())
    goals = "\n".join(f"| `{name}` | {meaning} | {ratios[name]:.3f} | {goal} |" for name, meaning, goal in _GOALS)
    return f"""# Benchmarks

`make bench` measured this page in one run on {datetime.now(UTC):%Y-%m-%d}. The model has the exact size of BLIP-base
and random weights. Its speed and memory are right, its captions mean nothing. The pictures are photographs of
`tools/exporter/samples`. A caption has {TOKENS} tokens.

Machine: {_processor()}, {len(os.sched_getaffinity(0))} cores, {_memory() / _GIGA:.0f} GB,
{platform.system()}, Python {platform.python_version()}, onnxruntime {version("onnxruntime")}.
Its best rates are {rates["fp32"] / _GIGA:.0f} billion operations per second in fp32,
{rates["int8"] / _GIGA:.0f} in int8, and {rates["bytes"] / _GIGA:.1f} GB/s from memory.

![Seconds per caption, from the start of the process and warm, per engine](benchmarks.png)

| engine | start → first caption | warm p50 | warm p95 | encoder | per token | peak memory | packages + weights | captions/s, 1 process | 2 processes | limit | p50 / limit |
|---|---|---|---|---|---|---|---|---|---|---|---|
{engines}

| figure | meaning | here | goal |
|---|---|---|---|
{goals}

An upload of 12 megapixels ({uploads["bytes"] / _MEGA:.1f} MB JPEG) through the handler, on moto, in int8, takes {_ms(uploads["upload"])}.
The caption alone takes {_ms(uploads["caption"])}. If thumbnails and caption were made one after the other, the upload would
take {_ms(uploads["upload_in_turn"])}.

## How it is measured

- The baseline is the usual Lambda handler: `BlipForConditionalGeneration.from_pretrained(...)` and `generate`, eager,
  in fp32, with the default threads of torch.
- Start → first caption: from the start of the interpreter to the caption. The files are in the page cache. Each
  process is new; the engines take turns. The value is the median.
- Warm: all engines are loaded and take turns. The time is from the photograph to the tokens. The values are medians.
- Peak memory: VmHWM of the process, which includes mapped weights.
- Packages: all files of the required packages, without bytecode.
- The limit is the time at the best rates of this machine: the products of the encoder with its weights, its attention
  in fp32, and one read of the weights per token (`tools/bench/work.py`). The rates are the better of torch and ONNX
  Runtime on 2048 x 2048 matrices, and a dot product over 1 GiB.
- Two processes share the cores, like two containers on one machine. Lambda runs one request per container.

"""


_GOALS = (
    ("ratio_warm", "warm caption, int8 / baseline", "≤ 0.25"),
    ("ratio_cold", "start → first caption, int8 / baseline", "≤ 0.25"),
    ("ratio_rss", "peak memory, int8 / baseline", "≤ 0.45"),
    ("ratio_bytes", "packages + weights, int8 / baseline", "≤ 0.25"),
    ("ratio_warm_fp32", "warm caption, fp32 / baseline", "≤ 0.6"),
    ("ratio_to_limit", "warm caption / limit, int8", "≤ 1.6"),
    ("ratio_overhead", "an upload without its caption / the caption", "≤ 0.15"),
)


def _row(name: str, engine: Measured, limit: float | None) -> str:
    warm = median(engine.warm)
    cells = [
        name,
        f"{median(engine.cold):.2f} s",
        _ms(warm),
        _ms(quantiles(engine.warm, n=20)[-1]),
        _ms(median(engine.encoder)),
        f"{median(engine.token) * _MILLI:.1f} ms",
        *(f"{size / _MEGA:.0f} MB" for size in (engine.peak_bytes, engine.bytes_on_disk)),
        f"{1 / warm:.2f}",
        f"{engine.pair_rate:.2f}",
        *((_ms(limit), f"{warm / limit:.2f}") if limit else ("", "")),
    ]
    return f"| {' | '.join(cells)} |"


def _draw(path: Path, measured: Mapping[str, Measured], limits: Mapping[str, float]) -> None:
    mpl.use("Agg")
    figure, (cold, warm) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained", sharey=True)
    names = list(measured)
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
            warm.plot([limits[name]] * 2, [number - 0.4, number + 0.4], color="black", linewidth=2)
    warm.plot([], [], color="black", linewidth=2, label="limit of the machine")
    warm.legend(frameon=False, loc="lower right")
    cold.invert_yaxis()
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _ms(seconds: float) -> str:
    return f"{seconds * _MILLI:.0f} ms"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    flags = {key.strip(): value for key, value in fields.items()}
    known = [name for name in ("avx2", "avx512f", "avx512_vnni", "amx_int8") if name in flags["flags"].split()]
    return f"{flags['model name'].strip()} ({', '.join(known)})"


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

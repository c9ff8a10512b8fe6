"""The table, the JSON and the plot of a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.report.rows import table
from tests.soak.schedule import Window
from tests.soak.verdict import FLAT, Outcome
from tests.soak.workers import Waited

MIB = 1 << 20


def text(outcome: Outcome) -> str:
    """The tables: who was answered what, what grew, and what the probe waited during which act."""
    return "\n\n".join([_answers(outcome), _growth(outcome), _latencies(outcome)])


def _answers(outcome: Outcome) -> str:
    rows = []
    for worker in outcome.workers:
        tally = worker.tally
        floods = sum(number for name, number in tally.counts.items() if name.endswith(": TEMP"))
        temporary = tally.temporary.total() + floods + tally.counts["TEMP in a train"]
        rows.append([worker.name, f"{tally.answers:,}", f"{temporary:,}", f"{len(tally.old):,}", f"{tally.wrong:,}"])
    return table(["client", "answers", "TEMP", "stale or cached", "wrong"], rows)


def _growth(outcome: Outcome) -> str:
    half, rows = outcome.second_half(), []
    lines = outcome.lines()
    for name, (value, allowed) in FLAT.items():
        unit, ending = (MIB, " MiB") if name.startswith("resident") else (1, "")
        seen = [value(sample) / unit for sample in half]
        if not seen:
            continue
        row = [name, *(f"{number:,.1f}{ending}" for number in (min(seen), sum(seen) / len(seen), max(seen)))]
        if line := lines.get(name):
            row += [f"{line.rise / unit:+,.2f} of {allowed / unit:g}{ending}"]
            row += [f"{line.an_hour / unit:+,.1f} ± {line.error / unit:.1f}"]
        else:
            row += ["too short", ""]
        rows.append(row)
    return table(["second half", "least", "mean", "most", "rise", "an hour"], rows)


def _latencies(outcome: Outcome) -> str:
    waited: dict[str, list[Waited]] = {}
    for worker in outcome.workers:
        for one in worker.waited:
            waited.setdefault(outcome.during(one.at), []).append(one)
    rows = []
    for name in sorted(waited, key=lambda name: (name != "calm", name)):
        seen = sorted(waited[name], key=lambda one: one.p99)
        median = sorted(one.median for one in seen)[len(seen) // 2]
        rows.append(
            [name, str(len(seen)), _ms(median), _ms(seen[len(seen) // 2].p99), _ms(max(one.longest for one in seen))]
        )
    return table(["the probe during", "seconds", "p50", "p99 (median second)", "longest"], rows)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"


def write(outcome: Outcome, problems: list[str], directory: Path, *, picture: bool = True) -> None:
    """``soak.json``, ``soak.txt`` and, by matplotlib, ``soak.png`` below ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "soak.json").write_text(json.dumps(_document(outcome, problems), indent=1))
    (directory / "soak.txt").write_text(text(outcome) + "\n\n" + "\n".join(problems or ["no problem"]) + "\n")
    (directory / "vmaild.log").write_text(outcome.daemon_log)
    if picture:
        _draw(outcome, directory / "soak.png")


def _document(outcome: Outcome, problems: list[str]) -> dict[str, Any]:
    return {
        "seconds": outcome.seconds,
        "problems": problems,
        "lines": {name: line._asdict() for name, line in outcome.lines().items()},
        "windows": [window._asdict() for window in outcome.windows],
        "workers": {
            worker.name: {
                "answers": worker.tally.answers,
                "wrong": worker.tally.wrong,
                "temporary": worker.tally.temporary,
                "counts": worker.tally.counts,
                "cut": worker.tally.cut,
                "old": worker.tally.old,
                "waited": worker.waited,
            }
            for worker in outcome.workers
        },
        "samples": [asdict(sample) for sample in outcome.samples],
        "began": outcome.began,
    }


def _draw(outcome: Outcome, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 10))
    memory, numbers, cache, latency = figure.subplots(4, 1, sharex=True)
    began, at = outcome.began, [sample.at - outcome.began for sample in outcome.samples]
    memory.plot(at, [sample.resident / MIB for sample in outcome.samples], label="resident")
    beside = FLAT["resident beside cache"][0]
    memory.plot(at, [beside(sample) / MIB for sample in outcome.samples], label="resident beside the cache")
    memory.plot(at, [sample.cached / MIB for sample in outcome.samples], ":", label="cache")
    if line := outcome.lines().get("resident beside cache"):
        half = outcome.second_half()
        mean = sum(beside(sample) for sample in half) / len(half) / MIB
        ends = [half[0].at - began, half[-1].at - began]
        rise = line.rise / MIB / 2
        label = f"fitted: {line.an_hour / MIB:+.1f} ± {line.error / MIB:.1f} MiB/h"
        memory.plot(ends, [mean - rise, mean + rise], "k--", label=label)
    numbers.plot(at, [sample.held for sample in outcome.samples], label="descriptors beside clients'")
    numbers.plot(at, [sample.tasks for sample in outcome.samples], label="tasks")
    numbers.plot(at, [sample.threads for sample in outcome.samples], label="threads")
    cache.plot(at, [sample.records for sample in outcome.samples], label="records")
    cache.plot(at, [sample.connections for sample in outcome.samples], label="clients")
    for worker in outcome.workers:
        if worker.waited:
            times = [one.at - began for one in worker.waited]
            latency.semilogy(times, [one.median * 1000 for one in worker.waited], label="p50")
            latency.semilogy(times, [one.p99 * 1000 for one in worker.waited], label="p99")
    titles = ("memory, MiB", "held", "cache", "the probe, ms a second")
    for axis, title in zip((memory, numbers, cache, latency), titles, strict=True):
        _shade(axis, outcome.windows, began)
        axis.set_ylabel(title)
        axis.legend(loc="upper left", fontsize=7)
    latency.set_xlabel("seconds; red: something is down, blue: a flood or else")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _shade(axis: Any, windows: list[Window], began: float) -> None:
    for window in windows:
        colour = "#d9534f" if window.outage else "#5b9bd5"
        axis.axvspan(window.begin - began, window.end - began, color=colour, alpha=0.15, linewidth=0)

"""The figures of ``measure`` as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.scale.measure import Figures

PANELS = (
    ("seconds", ("first answer s", "all domains known s", "restart, first answer s", "audit s", "load into slapd s")),
    ("MB", ("memory at start MB", "memory warm MB", "audit memory MB", "snapshot MB")),
    ("lookups a second", ("hit rate", "miss rate")),
    (
        "seconds, a bulk change of up to 50,000",
        ("bulk s", "bulk, CPU s", "missed, all heard after s", "missed, CPU s"),
    ),
)


def report(sizes: Sequence[Figures]) -> str:
    """A table with a column for each size."""
    heads = ["", *(f"{size['accounts']:,.0f} accounts" for size in sizes)]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * len(sizes)]
    for name in sizes[0]:
        if name != "accounts":
            lines.append(f"| {name} | {' | '.join(_number(size.get(name)) for size in sizes)} |")
    return "\n".join(lines)


def draw(sizes: Sequence[Figures], path: Path) -> None:
    """How each grows, a panel for each kind of figure, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(12, 8), constrained_layout=True)
    accounts = [size["accounts"] for size in sizes]
    for axis, (unit, names) in zip(axes.flat, PANELS, strict=True):
        for name in names:
            axis.plot(accounts, [size[name] for size in sizes], marker="o", label=name)
        axis.set(xscale="log", yscale="log", xlabel="accounts", ylabel=unit)
        axis.grid(True, which="both", alpha=0.3)
        axis.legend(fontsize="small")
    figure.savefig(path, dpi=110)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"

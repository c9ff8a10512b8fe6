"""The result of a load, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.limits import Limit
from benchmarks.load import LoadResult, LoadSettings
from benchmarks.machine import machine
from vmaild.lookup import Status


def as_json(settings: LoadSettings, result: LoadResult, broken: Sequence[Limit]) -> dict[str, Any]:
    """Everything that was measured. Latencies and CPU are in milliseconds, rates a second."""
    return {
        "machine": machine(),
        "load": {
            "address": str(settings.address),
            "connections": settings.connections,
            "rate": settings.rate,
            "loop": "open" if settings.rate else "closed",
            "warm_up": settings.warm_up,
            "churn": None if settings.churn is None else [settings.churn.idle, settings.churn.life],
            "seed": settings.seed,
        },
        "seconds": result.seconds,
        "figures": result.figures(),
        "cpu": {name: 1e3 * cpu / max(1, result.tally.answers) for name, cpu in result.server_cpu.items()},
        "waited_for_a_core": {name: wait / result.seconds for name, wait in result.waited.items()},
        "errors": dict(result.tally.errors),
        "warm_up_errors": result.warm_up_errors,
        "connections_opened": result.opened,
        "cold_keys_asked_again": result.reused,
        "wrong_answers": result.tally.examples,
        "broken_limits": [limit.text for limit in broken],
    }


def as_text(settings: LoadSettings, result: LoadResult) -> str:
    """The result as a short table."""
    figures, tally = result.figures(), result.tally
    pace = f"open loop at {settings.rate:,.0f}/s" if settings.rate else "closed loop"
    kinds = ", ".join(f"{status.value.decode()} {tally.kinds[status]:,}" for status in Status if tally.kinds[status])
    points = ("p50", "p90", "p99", "p99.9", "max")
    lines = [
        f"{settings.address}, {settings.connections} connections, {pace}, {result.seconds:.1f} s",
        f"answers    {tally.answers:,}: {kinds or 'none'}",
        f"rate       {figures['rate']:,.0f}/s",
        "latency    " + "  ".join(f"{point} {milliseconds(figures[point])}" for point in points),
        f"checked    {tally.checked:,} of the answers, {tally.wrong:,} wrong",
    ]
    for name, cpu in result.server_cpu.items():
        lines.append(f"{name + ' CPU':10} {milliseconds(1e3 * cpu / max(1, tally.answers))} for each answer")
    lines.append(f"client CPU {milliseconds(figures['client_cpu'])} for each answer")
    if tally.errors:
        lines.append("errors     " + ", ".join(f"{kind} {number:,}" for kind, number in tally.errors.items()))
    if result.opened != settings.connections:
        lines.append(f"opened     {result.opened:,} connections")
    if result.reused:
        lines.append(f"warning    {result.reused:,} cold keys were asked again: too few keys, so these were no misses")
    return "\n".join(lines + [f"wrong      {example}" for example in tally.examples])


def milliseconds(number: float) -> str:
    """A time of so many milliseconds, in a unit that suits it."""
    if number < 0.1:
        return f"{number * 1e3:.1f} us"
    return f"{number:.2f} ms" if number < 1000 else f"{number / 1e3:.2f} s"

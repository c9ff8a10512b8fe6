"""Measurements by the load generator, each in a process of its own, so that nothing else happens in its loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report.machine import ROOT
from benchmarks.report.rows import Figures
from benchmarks.site.site import Site, Vmaild


class MeasurementFailed(Exception):
    """The load could not be run, or an answer was wrong: figures of wrong answers are worth nothing."""


def start_load(address: str, options: Sequence[str], pids: Mapping[str, int]) -> subprocess.Popen[bytes]:
    """Start a load; its result is for ``finish_load``."""
    command = [sys.executable, "-m", "benchmarks", "load", address, "--json", "--no-progress", *options]
    for name, pid in pids.items():
        command += ["--pid", f"{name}={pid}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def finish_load(process: subprocess.Popen[bytes]) -> Figures:
    """Wait for a load; returns its figures, with ``waited NAME`` for each process. Raises ``MeasurementFailed``."""
    try:
        output, errors = process.communicate()
    except BaseException:
        process.kill()
        process.communicate()
        raise
    result: dict[str, Any] = json.loads(output) if output else {}
    if process.returncode:
        text = errors.decode(errors="replace").strip()
        wrong = " ".join(result.get("wrong_answers", []))
        raise MeasurementFailed(f"load ended with {process.returncode}: {text} {wrong}")
    figures: Figures = dict(result["figures"])
    figures |= {f"waited {name}": value for name, value in result["waited_for_a_core"].items()}
    figures["reused"] = result["cold_keys_asked_again"]
    return figures


def load(address: str, options: Sequence[object], pids: Mapping[str, int]) -> Figures:
    """Run a load; returns its figures."""
    return finish_load(start_load(address, [str(option) for option in options], pids))


def warm(site: Site, vmaild: Vmaild, options: Sequence[object], connections: int = 16) -> None:
    """Ask vmaild for every hot key once."""
    hot = [*options, "--expect", site.table, "--warm-keys", "--connections", connections]
    load(vmaild.socketmap, [*hot, "--warm-up", 0, "--seconds", 0.2], {})

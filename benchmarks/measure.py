"""One measurement by the load generator, in a process of its own, so that nothing else happens in its loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.site import Site

Figures = dict[str, float]


class MeasurementFailed(Exception):
    """The load could not be run, or an answer was wrong: figures of wrong answers are worth nothing."""


def load_command(address: str, options: Sequence[str], pids: Mapping[str, int]) -> list[str]:
    """The command of one load."""
    command = [sys.executable, "-m", "benchmarks", "load", address, "--json", "--no-progress", *options]
    for name, pid in pids.items():
        command += ["--pid", f"{name}={pid}"]
    return command


def start_load(address: str, options: Sequence[str], pids: Mapping[str, int]) -> subprocess.Popen[bytes]:
    """Start a load; its result is for ``finish_load``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = load_command(address, options, pids)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def finish_load(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for a load; returns its JSON. Raises ``MeasurementFailed``."""
    try:
        output, errors = process.communicate()
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode:
        text = errors.decode(errors="replace").strip()
        wrong = json.loads(output).get("wrong_answers", []) if output else []
        raise MeasurementFailed(f"load ended with {process.returncode}: {text} {' '.join(wrong)}")
    result: dict[str, Any] = json.loads(output)
    return result


def load(address: str, options: Sequence[str], pids: Mapping[str, int]) -> Figures:
    """Run a load; returns its figures in milliseconds, with ``cpu NAME`` for each process."""
    result = finish_load(start_load(address, options, pids))
    figures: Figures = dict(result["figures"])
    figures |= {f"cpu {name}": value for name, value in result["cpu"].items()}
    figures |= {f"waited {name}": value for name, value in result["waited_for_a_core"].items()}
    figures["reused"] = result["cold_keys_asked_again"]
    return figures


def keys_of(site: Site) -> list[str]:
    """Options of a load on a site's keys with every answer checked."""
    return ["--keys", str(site.addresses), "--expect", str(site.table)]

"""What a result was measured on: without it, figures mean nothing."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
"""The source checkout."""


def machine() -> dict[str, str]:
    """Date, hardware and the versions of everything that takes part; "none" for what is not installed."""
    packages = ("uvloop", "bonsai", "cachetools", "postfix-mta-sts-resolver")
    installed = {each.metadata["Name"].lower().replace("_", "-"): each.version for each in metadata.distributions()}
    processor = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor[1] if processor else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "load average": f"{os.getloadavg()[0]:.2f}",
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: installed.get(name, "none") for name in packages},
        "postfix": _ask(r"(.+)", "postconf", "-d", "-h", "mail_version"),
        "openldap": _ask(r"slapd ([0-9.]+)", "/usr/sbin/slapd", "-VV"),
        "memcached": _ask(r"memcached ([0-9.]+)", "memcached", "-V"),
        "commit": _ask(r"(.+)", "git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }


def _ask(pattern: str, *command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "none"
    match = re.search(pattern, done.stdout + done.stderr)
    return match[1] if match else "unknown"

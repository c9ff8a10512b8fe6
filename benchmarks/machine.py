"""What a result was measured on: without it, figures mean nothing."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The source checkout."""


def machine() -> dict[str, str]:
    """Date, hardware and the versions of everything that takes part."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load average": f"{os.getloadavg()[0]:.2f}",
        "kernel": platform.release(),
        "system": _system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("uvloop", "bonsai", "cachetools")},
        "postfix": _ask(["postconf", "-d", "-h", "mail_version"], r".+"),
        "openldap": _ask(["/usr/sbin/slapd", "-VV"], r"slapd ([0-9.]+)"),
        "commit": _ask(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], r".+"),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _ask(command: list[str], pattern: str) -> str:
    if shutil.which(command[0]) is None:
        return "none"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(pattern, done.stdout + done.stderr)
    return match[match.lastindex or 0] if match else "unknown"

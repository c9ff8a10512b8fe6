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

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
"""The source checkout."""

PACKAGES = ("uvloop", "bonsai", "cachetools", "postfix-mta-sts-resolver")


def machine() -> dict[str, str]:
    """Date, hardware and the versions of everything that takes part."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _first(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text()) or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "load average": f"{os.getloadavg()[0]:.2f}",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "postfix": _ask(["postconf", "-d", "-h", "mail_version"], r"(.+)"),
        "openldap": _ask(["/usr/sbin/slapd", "-VV"], r"slapd ([0-9.]+)"),
        "memcached": _ask(["memcached", "-V"], r"memcached ([0-9.]+)"),
        "commit": _ask(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], r"(.+)"),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _ask(command: list[str], pattern: str) -> str:
    if shutil.which(command[0]) is None:
        return "none"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return _first(pattern, done.stdout + done.stderr) or "unknown"


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1].strip() if match else ""

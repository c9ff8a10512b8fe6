"""What every command needs: the configuration, the running daemon's socket, and a way to fail."""

from __future__ import annotations

import argparse
import json
import os
import sys

from vmaild import admin
from vmaild.config import Config, load
from vmaild.config.section import did_you_mean
from vmaild.errors import ConfigError


def configuration(options: argparse.Namespace) -> Config:
    """The configuration that ``options`` name; its warnings go to stderr. Raises ConfigError."""
    config = load(options.config)
    for warning in config.warnings:
        print(f"vmaild: warning: {warning}", file=sys.stderr)
    return config


def control_path(config: Config) -> str:
    """Where the running daemon is asked. Raises ConfigError when it is not."""
    if not config.control:
        raise ConfigError([f"{config.path}: [control] address: is empty, so a running daemon cannot be asked"])
    return config.control.removeprefix("unix:")


def unknown_map(config: Config, name: str) -> str:
    """What to say of a map that the configuration does not have; empty for one that it has."""
    names = [known.lower() for known in config.maps.tables]
    if name.lower() in names:
        return ""
    return f"no map named {name!r}{did_you_mean(name.lower(), names)}; there are {', '.join(names)}"


def fail(status: int, *lines: str) -> int:
    """Print ``lines`` on stderr; returns ``status``."""
    for line in lines:
        print(f"vmaild: {line}", file=sys.stderr)
    return status


def refused(error: admin.ControlError) -> int:
    """The daemon could not be asked, or the command was wrong."""
    return fail(os.EX_USAGE if isinstance(error, admin.UsageError) else os.EX_UNAVAILABLE, str(error))


def print_json(value: object) -> None:
    """``value`` as indented JSON on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=True))

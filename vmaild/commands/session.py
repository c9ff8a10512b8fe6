"""What every command needs: the configuration, the running daemon's socket, and a way to fail."""

from __future__ import annotations

import argparse
import json
import os
import sys

from vmaild import admin
from vmaild.config import Config, control_address, load
from vmaild.config.section import did_you_mean
from vmaild.errors import ConfigError


def configuration(options: argparse.Namespace) -> Config:
    """The configuration that ``options`` name; its warnings go to stderr. Raises ConfigError."""
    config = load(options.config)
    for warning in config.warnings:
        print(f"vmaild: warning: {warning}", file=sys.stderr)
    return config


def control_path(options: argparse.Namespace) -> str:
    """Where the running daemon is asked, whatever else is wrong with the file by now. Raises ConfigError: nowhere."""
    address = control_address(options.config)
    if not address:
        raise ConfigError([f"{options.config}: [control] address: is empty, so a running daemon cannot be asked"])
    return address.removeprefix("unix:")


def wrong_map(options: argparse.Namespace) -> str:
    """What to say of the map that a command for the daemon names, if any; nothing where the file cannot be used.

    The daemon goes on with what it has read, and knows its maps.
    """
    if not options.map:
        return ""
    try:
        return unknown_map(configuration(options), options.map)
    except ConfigError:
        return ""


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

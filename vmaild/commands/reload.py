"""``vmaild reload``: make the running daemon read its configuration, secrets and certificates again."""

from __future__ import annotations

import argparse
import os

from vmaild import admin
from vmaild.commands.session import configuration, control_path, print_json
from vmaild.errors import ConfigError


def run(options: argparse.Namespace) -> int:
    """Reload, and print what that changed. A file that the daemon refuses ends with 78 and its problems."""
    try:
        reloaded = admin.reload(control_path(options))
    except ConfigError as error:
        if not options.json:
            raise
        print_json({"refused": list(error.problems)})
        return os.EX_CONFIG
    except admin.ControlError:
        # With a file that cannot be read, the daemon may have been asked for at the wrong place.
        configuration(options)
        raise
    if options.json:
        print_json({"reloaded": reloaded})
    else:
        print(reloaded)
    return os.EX_OK

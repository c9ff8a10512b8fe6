"""``vmaild serve`` as a child process, in front of a private slapd, on a configuration written for it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmaild.demo.ask import ask
from vmaild.demo.process import Process
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.errors import ProtocolError
from vmaild.listening import parse_address
from vmaild.lookup import Status

START_SECONDS = 20.0
"""How long vmaild may take to give its first answer: seconds. It takes 0.3 s."""

PROBE = ("virtual_mailbox_domains", "domain1.example")
"""The lookup that shows whether vmaild answers."""

CONTROL_SOCKET = "control.sock"
"""The control socket's name below ``home``: the default one belongs to an installed vmaild."""


@dataclass(frozen=True, slots=True)
class Listen:
    """One ``[[listen]]`` table. ``extra`` is TOML to go with it."""

    address: str
    protocol: str = "socketmap"
    map: str = ""
    extra: str = ""

    def text(self) -> str:
        """The table as TOML."""
        lines = ["[[listen]]", f"address = {_string(self.address)}", f"protocol = {_string(self.protocol)}"]
        if self.map:
            lines.append(f"map = {_string(self.map)}")
        return "\n".join([*lines, self.extra, ""])


class DaemonProcess:
    """One vmaild. ``listens`` begins with a socketmap listener; ``directory`` and ``tables`` are TOML to add.

    Its files go to ``home``, which must exist: configuration, password and log. ``environment`` adds to our own.
    """

    def __init__(
        self, home: Path, uri: Sequence[str], listens: Sequence[Listen], *, directory: str = "", tables: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.home = home
        self.configuration = home / "vmaild.toml"
        self.address = parse_address(listens[0].address)
        self._text = _configuration(home, uri, listens, directory, tables)
        # What it leaves in a temporary directory when it is killed goes with ``home``.
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(home), **(environment or {})}
        command = [sys.executable, "-m", "vmaild", "serve", "-c", str(self.configuration)]
        self._process = Process(command, home / "vmaild.log", environment=environment)

    @property
    def pid(self) -> int:
        """The process id; raises ``ProcessError`` when it does not run."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """True until it is stopped or has ended by itself."""
        return self._process.running

    def start(self) -> None:
        """Start it and wait until it answers from the directory. Raises ``ProcessError`` when it does not."""
        password = self.home / "bind_pw"
        password.touch(mode=0o600)
        password.write_text(f"{READER_PW}\n")
        self.configuration.write_text(self._text)
        self._process.start(self._answers, START_SECONDS)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        return self._process.stop()

    def last_words(self) -> str:
        """The end of its log."""
        return self._process.last_words()

    def _answers(self) -> bool:
        try:
            return ask(self.address, *PROBE).status is Status.FOUND
        except (OSError, ProtocolError):
            return False


def _configuration(home: Path, uri: Sequence[str], listens: Sequence[Listen], directory: str, tables: str) -> str:
    return "\n".join(
        [
            'preset = "courier"',
            'recipient_delimiter = "+"',
            "",
            "[directory]",
            f"uri = [{', '.join(_string(one) for one in uri)}]",
            f"search_base = {_string(SEARCH_BASE)}",
            f"bind_dn = {_string(READER_DN)}",
            f"bind_pw_file = {_string(str(home / 'bind_pw'))}",
            directory,
            "",
            *(listen.text() for listen in listens),
            "[control]",
            f"address = {_string(f'unix:{home / CONTROL_SOCKET}')}",
            "",
            tables,
            "",
        ]
    )


def _string(text: str) -> str:
    # JSON's strings of printable ASCII are TOML's.
    return json.dumps(text)

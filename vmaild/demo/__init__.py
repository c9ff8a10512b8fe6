"""``vmaild demo``: the whole thing on this machine, with nothing to set up.

A private slapd on a free loopback port serves the HOWTO's tree, and vmaild answers in front of it on
127.0.0.1:10143. A table of lookups is asked through vmaild and printed, with the lines for main.cf. With ``mail`` a
private Postfix takes a message along each of them, and a second table shows where it landed. All stay up until
SIGINT, SIGTERM or SIGHUP; with ``once`` they end after the tables. No process and no file is left behind.

Exit status: 0; 1 when a lookup or a delivery failed or a service ended by itself; 69 when the demo cannot run here (no
slapd, the port is taken, ``mail`` without Postfix or without root).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from vmaild.demo import mail
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.lookups import ask_all, failures, table
from vmaild.demo.postfix import Postfix, check_postfix
from vmaild.demo.process import ProcessError
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import tree
from vmaild.errors import ProtocolError

WATCH_SECONDS = 0.2
"""How often the demo checks whether it shall stop, or a process of its has ended: seconds."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_HEAD = """\
slapd answers on {slapd} and vmaild in front of it on 127.0.0.1:{port}.

{table}
"""

_TAIL = """
For main.cf:

virtual_mailbox_domains = socketmap:inet:127.0.0.1:{port}:virtual_mailbox_domains
virtual_mailbox_maps    = socketmap:inet:127.0.0.1:{port}:virtual_mailbox_maps
virtual_alias_maps      = socketmap:inet:127.0.0.1:{port}:virtual_alias_maps
virtual_alias_domains   =
"""

_MAIL = """
Postfix takes mail on 127.0.0.1:{smtp_port}, one message for each row:

{messages}
"""

_STAYS = """
Try, from another terminal, where Postfix is installed:

postmap -q user2@domain2.example socketmap:inet:127.0.0.1:{port}:virtual_mailbox_maps

Ctrl-C ends it.
"""


class _Told:
    """Whether a signal has asked the demo to end. A flag and no exception, so that no start is cut in half."""

    def __init__(self) -> None:
        self.to_end = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.to_end = True


def run(once: bool, port: int, *, with_mail: bool = False) -> int:
    """Run the demo and return its exit status."""
    told = _Told()
    before = {number: signal.signal(number, told) for number in _SIGNALS}
    try:
        why_not = _unusable(port)
        if why_not:
            return _cannot(f"port {port} on 127.0.0.1: {why_not}; --port takes another")
        if with_mail:
            check_postfix()
        with tempfile.TemporaryDirectory(prefix="vmaild-demo-") as home:
            return _run_in(Path(home), port, once, with_mail, told)
    except ProcessError as error:
        return _cannot(str(error))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_in(home: Path, port: int, once: bool, with_mail: bool, told: _Told) -> int:
    with Slapd(home / "slapd", ldif=tree(), syncprov=True) as slapd, contextlib.ExitStack() as started:
        daemon = DaemonProcess(home, [slapd.uri], [Listen(f"inet:127.0.0.1:{port}")])
        started.callback(daemon.stop)
        if told.to_end:
            return os.EX_OK
        daemon.start()
        status = _show(slapd, daemon, port)
        services: dict[str, Slapd | DaemonProcess | Postfix] = {"slapd": slapd, "vmaild": daemon}
        if with_mail and not told.to_end and status == os.EX_OK:
            services["Postfix"] = postfix = mail.postfix(home, slapd, port)
            started.callback(postfix.close)
            postfix.start()
            status = _show_mail(postfix)
        if once:
            return status
        print(_STAYS.format(port=port), end="", flush=True)
        return _stay(services, told)


def _show(slapd: Slapd, daemon: DaemonProcess, port: int) -> int:
    try:
        rows = ask_all(daemon.address)
    except (OSError, ProtocolError) as error:
        print(f"vmaild demo: {error}: {daemon.last_words()}", file=sys.stderr)
        return 1
    print((_HEAD + _TAIL).format(slapd=slapd.uri, port=port, table=table(rows)), end="", flush=True)
    return 1 if failures(rows) else os.EX_OK


def _show_mail(postfix: Postfix) -> int:
    try:
        messages = mail.send_all(postfix)
    except OSError as error:
        print(f"vmaild demo: {error}: {postfix.last_words()}", file=sys.stderr)
        return 1
    print(_MAIL.format(smtp_port=postfix.port, messages=mail.table(messages)), end="", flush=True)
    return 1 if mail.failures(messages) else os.EX_OK


def _stay(services: Mapping[str, Slapd | DaemonProcess | Postfix], told: _Told) -> int:
    while not told.to_end:
        for name, service in services.items():
            if not service.running:
                return _cannot(f"{name} has ended: {service.last_words()}", 1)
        time.sleep(WATCH_SECONDS)
    return os.EX_OK


def _unusable(port: int) -> str:
    if not 0 < port < 1 << 16:
        return "no such port"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.strerror or str(error)
        return ""


def _cannot(why: str, status: int = os.EX_UNAVAILABLE) -> int:
    print(f"vmaild demo: {why}", file=sys.stderr)
    return status

"""What ``run_commands`` puts in the place of names, what it shortens or leaves, and which exit status is right.

A test compares these tables with the pages: an entry that no page needs any more fails it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import NamedTuple

from tests.manual.commands import Told

CONFIGURATION = "/etc/vmaild/vmaild.toml"
BASE = "dc=myhosting,dc=example"
MAILBOXES = "socketmap:inet:127.0.0.1:10143:virtual_mailbox_maps"

CHECKOUT = "/root/vmaild"
HOST = f"{CHECKOUT}/tests/manual/mail_host.sh"

VALUES: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"vmaild@(NAME|%i)|/(NAME|%i)(?=\.toml)": lambda found: found[0].replace(found[1] or found[2], "second"),
    r"^vmaild compare(?! -c)": "vmaild compare -c /root/imported.toml",
    r"(?<=--listen )ADDRESS": "inet:127.0.0.1:10149",
    r"(?<=explain )ADDRESS|(?<= )KEY\b|ADDRESS$": "user2@domain2.example",
    r"(?<= )MAP\b": "virtual_mailbox_maps",
    r"(?<= )KEYS\b": "/root/keys",
    r"(?<= )NAME$": "main.cf",
    r"(?<= )LEVEL$": "debug",
    r"(?<=--count )N": "5",
    r"(?<=--delay )SECONDS": "1",
    r"(?<=--port )PORT": "10147",
    r"(?<= )DIR\b": "/etc/postfix",
    r"(?<=--bind-dn )DN": f"cn=vmaild,{BASE}",
    r"(?<=--bind-pw-file )FILE": "/etc/vmaild/bind_pw",
    r"(?<=--as )DN": f"mail=user1@domain2.example,o=domain2.example,o=hosting,{BASE}",
    r"(?<=--as-pw-file )FILE": "/root/tenant_pw",
    r"(?<=--output )FILE": "/tmp/imported.toml",
    r"(?<=--diff )FILE": "/tmp/main.cf.diff",
    r"ldap://HOST": "ldap://ldap1.example",
    r"ARGUMENTS$": "model --mailboxes 10e6 --messages 10e3",
    r"vmaild_VERSION_all": "dist/vmaild_*_all",
    r"dc=\.\.\.": BASE,
    r"(?<=credentials=)\.\.\.": "secret",
}
"""Names that stand for something, as regular expressions; in this order."""

SHORT = {
    "make mutants": 'make mutants SAMPLE=4 PARTS="wire"',
    "make fuzz": "make fuzz SECONDS=1",
    "make soak": "make soak SECONDS=90",
    "vmaild benchmark hearing": "vmaild benchmark hearing --accounts 500 --seconds 1 --rounds 1 --entries 500",
    "make chaos": ".venv/bin/python -m tests.directory.chaos --seconds 10",
    "make demo": "timeout --preserve-status -s INT 30 make demo",
    "make demo MAIL=1": "timeout --preserve-status -s INT 60 make demo MAIL=1",
    "vmaild demo": "timeout --preserve-status -s INT 20 vmaild demo",
    "vmaild serve": "timeout --preserve-status -s TERM 4 vmaild serve",
    "python -m benchmarks hot_path": "python -m benchmarks hot_path --accounts 500 --seconds 0.3 --rounds 1",
    "vmaild benchmark scale": "vmaild benchmark scale --accounts 10000 --no-picture",
    "--rate 500 --connections 100 --churn --seconds 300": "--rate 500 --connections 100 --churn --seconds 5",
}
"""What takes long, or stays until somebody ends it, and what is run instead."""

WHOLE = {
    r"systemctl (reload|status)": r"\g<0> vmaild",
    r"systemd-analyze security": r"\g<0> vmaild.service",
    r"vmaild explain": r"\g<0> user2@domain2.example",
    r"vmaild compare": r"\g<0> virtual_mailbox_maps /root/keys",
    r"vmaild benchmark model": r"\g<0> --mailboxes 10e6 --messages 10e3",
    r"postmap -q -": rf"printf 'user1@domain1.example\\nuser2@domain2.example\\n' | \g<0> {MAILBOXES}",
    r"vmaild check --offline": r"\g<0> -c vmaild/manual/vmaild.toml",
}
"""A command of which running text names the beginning only, and the whole."""

LEFT = {
    "make test": "run by itself, some ten minutes; CI is nothing else",
    "make coverage": "the whole suite once more, run by itself",
    "make system": "run by itself, as root",
    "make machines": "run by itself, as root",
    "make nspawn": "run by itself, as root",
    "make papers": "this is it",
    "make measure": "25 minutes on a quiet machine, run by itself",
    "make release": "of a version that is ready; `make release REHEARSAL=1`",
}
"""What is not run here, and why."""


class Right(NamedTuple):
    """A command is right when it ends with one of these, and prints this (a regular expression) somewhere."""

    status: tuple[int, ...] = (0,)
    prints: str = ""

    def fits(self, status: int, output: str) -> bool:
        """Whether a command did so."""
        return status in self.status and re.search(self.prints, output, re.MULTILINE) is not None


JUDGED = {
    # The demo's tree has a role with an occupant who has left.
    "vmaild audit": Right((1,), "user9"),
    "vmaild compare": Right(prints="0 different"),
    f"postmap -q user2@domain2.example {MAILBOXES}": Right(prints=r"^domain2.example/user2/$"),
    f"postmap -q user1@domain1.example {MAILBOXES}": Right(prints=r"^domain1.example/user1/$"),
    "ldapsearch": Right(prints="^contextCSN: 20"),
    # A limit that is broken is what it is for; the machine may be busy.
    "python -m benchmarks load": Right((0, 1), "warm-up"),
    # Debian has some of these already, and -c goes on.
    "ldapmodify -c": Right((20, 80), "duplicate index definition|Type or value exists"),
    "make quick": Right(prints="passed"),
    "make demo": Right((0, 130), "user2"),
}
"""Where it is not just 0: by how the command that is told begins."""

NO_DAEMON = (
    "status",
    "stats",
    "flush",
    "reload",
    "log-level",
    "domains",
    "cache list",
    "cache show x",
    "query virtual_mailbox_maps x",
)
BREAK = f"sed -i s/courier/currier/ {CONFIGURATION}"
MEND = f"sed -i s/currier/courier/ {CONFIGURATION}; systemctl reset-failed vmaild.service vmaild.socket"

SITUATIONS: list[tuple[str, str, dict[str, Right]]] = [
    (
        "",
        "",
        {
            f"postmap -q nobody@domain2.example {MAILBOXES}": Right((1,)),
            "vmaild query virtual_mailbox_maps nobody@domain2.example": Right((1,)),
            "vmaild cache show unheard-of@domain2.example": Right((1,)),
            "vmaild query nosuchmap x": Right((64,), "nosuchmap"),
            "vmaild flush nosuchmap": Right((64,), "nosuchmap"),
            "vmaild log-level loud": Right((64,), "loud"),
            "vmaild snippets nosuchsnippet": Right((64,), "nosuchsnippet"),
            "vmaild nosuchcommand": Right((64,), "usage"),
            # The unit has the address.
            "timeout 20 /usr/bin/vmaild serve": Right((71,), "10143"),
        },
    ),
    (
        "systemctl stop slapd",
        "systemctl start slapd; sleep 12; vmaild status",
        {
            "vmaild check": Right((75,), "ldap1"),
            "vmaild audit": Right((75,)),
            "vmaild status": Right((0, 75), "ldaps://ldap1.example"),
            "vmaild query virtual_mailbox_maps never@domain2.example": Right((75,), "directory unavailable"),
            "vmaild query --direct virtual_mailbox_maps user2@domain2.example": Right((75,)),
            "vmaild query virtual_mailbox_maps user2@domain2.example": Right((0,), "domain2.example/user2/"),
            "vmaild explain never@domain2.example": Right((75,)),
        },
    ),
    (
        "systemctl stop vmaild.socket vmaild.service",
        "systemctl start vmaild.socket vmaild.service",
        {f"vmaild {command}": Right((69,)) for command in NO_DAEMON},
    ),
    (
        f"printf '[cache]\\nstale_domains = 0\\n' >> {CONFIGURATION}; vmaild reload",
        f"sed -i '/^.cache/,$d' {CONFIGURATION}; vmaild reload",
        {"vmaild domains": Right((64,))},
    ),
    (
        f"{BREAK}; systemctl restart vmaild",
        f"{MEND}; systemctl restart vmaild.socket vmaild.service",
        {
            "vmaild check": Right((78,), "currier"),
            "vmaild serve": Right((78,), "currier"),
            "systemctl status vmaild": Right((3,), "currier"),
        },
    ),
    (BREAK, MEND, {"vmaild reload": Right((78,), "currier")}),
]
"""What the pages say of failures: what is done first and afterwards, commands, and what is right for each."""


AROUND = {
    r"vmaild (serve|demo)": (
        "systemctl stop vmaild.socket vmaild.service",
        "systemctl start vmaild.socket vmaild.service",
    ),
    r"vmaild (import-postfix|compare)": (
        "cp /etc/postfix/main.cf /root/main.cf.socketmap; cp /root/main.cf.ldap /etc/postfix/main.cf"
        "; vmaild import-postfix --output /root/imported.toml > /dev/null 2>&1",
        "cp /root/main.cf.socketmap /etc/postfix/main.cf",
    ),
    r"vmaild cache show": ("vmaild query virtual_mailbox_maps user2@domain2.example > /dev/null", ":"),
    r"systemctl edit": (":", "systemctl cat vmaild | grep BindReadOnlyPaths=/srv"),
    r"systemctl enable --now vmaild@": (f"sh {HOST} second {CHECKOUT}", ":"),
    r"cd /var/spool/postfix && ": (f"sh {HOST} unix {CHECKOUT}", f"sh {HOST} inet"),
    r"vmaild benchmark|python |pip ": ("PATH=/opt/vmaild/bin:$PATH", ":"),
}
"""What must be so before and afterwards, by how the command begins: the port is free, main.cf has ``ldap:`` tables."""

TERMINAL = {"vmaild top": "q", "systemctl edit": "", "ldapadd -x": r"secret\n"}
"""Commands that need a terminal, and what is typed there."""


def left(one: Told) -> str:
    """Why it is not run; empty for what is."""
    if one.kind == "ldif":
        return "excerpts of entries; the presets' tests hold whole trees"
    return LEFT.get(one.text, "")


def typed(text: str) -> str:
    """The command to run for one that is told, before ``AROUND`` and ``TERMINAL``."""
    for pattern, whole in WHOLE.items():
        if re.fullmatch(pattern, text):
            text = re.sub(pattern, whole, text)
    for long, short in SHORT.items():
        if text == long or (long.startswith("--") and long in text):
            text = text.replace(long, short)
    for pattern, value in VALUES.items():
        text = re.sub(pattern, value, text)
    return text


def surrounded(command: str) -> str:
    """With what must be so before and after, and at a terminal."""
    fitting = [steps for pattern, steps in AROUND.items() if re.match(rf"(timeout .* )?({pattern})", command)]
    for start, keys in TERMINAL.items():
        if command.startswith(start):
            command = f"(sleep 2; printf '{keys}') | script -qec {shlex.quote(command)} /dev/null"
    for before, after in fitting:
        quietly = "> /dev/null 2>&1"
        command = f"{{ {before}; }} {quietly}\n{command}\nstatus=$?\n{{ {after}; }} {quietly} || status=1\nexit $status"
    return command


def right(one: Told) -> Right:
    """What is right for it."""
    fitting = [verdict for start, verdict in JUDGED.items() if one.kind == "command" and one.text.startswith(start)]
    verdict = fitting[0] if fitting else Right()
    return verdict if " --json" not in one.text or ">" in one.text else verdict._replace(prints=r"^[{\[]")

"""Postfix's side of each rival: the tables an administrator would write for the HOWTO's tree, and main.cf for them.

The ``ldap:`` tables are as plain as the preset ``courier``: a domain, an account's mailbox, an alias, the postmaster
role through its occupants, and each account as an alias of itself, without which a catch-all would take its mail.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from benchmarks.expectation import ANY, Line
from benchmarks.population import ALIASES, DOMAINS, MAILBOXES
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.lookup import Status

_SERVER = f"""\
server_host = {{uri}}
version = 3
bind = yes
bind_dn = {READER_DN}
bind_pw = {READER_PW}
"""

_LDAP = {
    "domains": f"""\
search_base = {SEARCH_BASE}
scope = one
query_filter = (&(objectClass=organization)(o=%s))
result_attribute = o
""",
    "mailboxes": f"""\
search_base = o=%d,{SEARCH_BASE}
query_filter = (&(objectClass=courierMailAccount)(mail=%s))
result_attribute = mailbox
""",
    "aliases": f"""\
search_base = o=%d,{SEARCH_BASE}
query_filter = (&(objectClass=courierMailAlias)(mail=%s))
result_attribute = maildrop
""",
    "postmasters": f"""\
search_base = o=%d,{SEARCH_BASE}
query_filter = (&(objectClass=organizationalRole)(cn=postmaster)(cn=%u))
result_attribute = mail
special_result_attribute = roleOccupant
""",
    "accounts": f"""\
search_base = o=%d,{SEARCH_BASE}
query_filter = (&(objectClass=courierMailAccount)(mail=%s))
result_attribute = mail
""",
}

_MAPS = {
    "virtual_mailbox_domains": ("domains",),
    "virtual_mailbox_maps": ("mailboxes",),
    "virtual_alias_maps": ("aliases", "postmasters", "accounts"),
}

SETTINGS = {
    # What is measured ends at the queue manager: delivery asks no table of its own, as by LMTP to an IMAP server.
    "virtual_transport": "discard:",
    # A session resets its transaction after each batch of recipients, and the next one is not to be slowed down.
    "smtpd_junk_command_limit": "1000000",
    "smtpd_recipient_limit": "1000000",
    "default_process_limit": "200",
}


def ldap_settings(folder: Path, uri: str, proxy: bool) -> dict[str, str]:
    """Write the ``ldap:`` tables to ``folder``; returns main.cf's settings that use them, by proxymap(8) or not."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _LDAP.items():
        (folder / f"{name}.cf").write_text(_SERVER.format(uri=uri) + text)
    kind = "proxy:ldap" if proxy else "ldap"
    return {key: ", ".join(f"{kind}:{folder / name}.cf" for name in names) for key, names in _MAPS.items()}


def ldap_table(folder: Path, proxy: bool) -> str:
    """The mailbox table by itself, as ``postmap -q - TABLE`` takes it."""
    return f"{'proxy:' if proxy else ''}ldap:{folder / 'mailboxes'}.cf"


def socketmap_settings(address: str) -> dict[str, str]:
    """main.cf's settings for a socketmap server at ``address``, vmaild or another one."""
    return {name: socketmap_table(address, name) for name in _MAPS}


def socketmap_table(address: str, map_name: str = "virtual_mailbox_maps") -> str:
    """One map of a socketmap server, as ``postmap -q - TABLE`` takes it."""
    return f"socketmap:{address}:{map_name}"


def hash_settings(folder: Path, lines: Iterable[Line]) -> dict[str, str]:
    """Make ``hash:`` tables of the found answers among ``lines``; returns main.cf's settings that use them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {DOMAINS: "domains", MAILBOXES: "mailboxes", ALIASES: "aliases"}
    files = {name: (folder / text).open("wb") for name, text in names.items()}
    for line in lines:
        if line.key != ANY and line.expected.status is Status.FOUND:
            files[line.map_name].write(line.key + b"\t" + (line.expected.value or b"") + b"\n")
    for file in files.values():
        file.close()
    # postmap reads a main.cf, and the machine's own need not exist.
    (folder / "main.cf").write_text("compatibility_level = 3.6\n")
    for text in names.values():
        subprocess.run(["postmap", "-c", str(folder), f"hash:{folder / text}"], check=True)
    return {name.decode(): f"hash:{folder / text}" for name, text in names.items()}

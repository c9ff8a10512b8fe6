"""The kinds of table that Postfix can be given for the HOWTO's tree: vmaild, and what else an administrator could take.

The ``ldap:`` tables are as plain as the preset ``courier``: a domain, an account's mailbox, an alias, the postmaster
role through its occupants, and each account as an alias of itself, without which a catch-all would take its mail.
``memcache:`` has them as its backup (memcache_table(5)): it keeps what was found and asks again for what was not.
``hash:``, ``lmdb:`` and ``cdb:`` hold all answers in files, as far as this Postfix knows these types.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.load.questions import ANY, read_lines
from benchmarks.site.population import ALIASES, DOMAINS, MAILBOXES
from benchmarks.site.site import Server, Site, Vmaild
from vmaild.demo.postfix import Postfix
from vmaild.demo.process import free_port
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.lookup import Status

VMAILD, LDAP, PROXY, MEMCACHE, DICT = "vmaild", "ldap:", "proxy:ldap:", "memcache:", "dict socketmap server"

_SERVER = f"server_host = {{uri}}\nversion = 3\nbind = yes\nbind_dn = {READER_DN}\nbind_pw = {READER_PW}\n"

_LDAP = {
    "domains": (SEARCH_BASE, "(&(objectClass=organization)(o=%s))", "o", "scope = one\n"),
    "mailboxes": (f"o=%d,{SEARCH_BASE}", "(&(objectClass=courierMailAccount)(mail=%s))", "mailbox", ""),
    "aliases": (f"o=%d,{SEARCH_BASE}", "(&(objectClass=courierMailAlias)(mail=%s))", "maildrop", ""),
    "postmasters": (
        f"o=%d,{SEARCH_BASE}", "(&(objectClass=organizationalRole)(cn=postmaster)(cn=%u))", "mail",
        "special_result_attribute = roleOccupant\n",
    ),
    "accounts": (f"o=%d,{SEARCH_BASE}", "(&(objectClass=courierMailAccount)(mail=%s))", "mail", ""),
}  # fmt: skip

_MAPS = {
    "virtual_mailbox_domains": ("domains",),
    "virtual_mailbox_maps": ("mailboxes",),
    "virtual_alias_maps": ("aliases", "postmasters", "accounts"),
}

FILES = {DOMAINS: "domains", MAILBOXES: "mailboxes", ALIASES: "aliases"}
FILE_TYPES = ("hash", "lmdb", "cdb")

SETTINGS = {
    # What is measured ends at the queue manager: delivery asks no table of its own, as by LMTP to an IMAP server.
    "virtual_transport": "discard:",
    # A session resets its transaction after each batch of recipients, and the next one is not to be slowed down.
    "smtpd_junk_command_limit": "1000000",
    "smtpd_recipient_limit": "1000000",
    "default_process_limit": "200",
}


@dataclass(frozen=True, slots=True)
class Rival:
    """One kind of table: what stands before a table's file or map in main.cf, and the process that answers.

    ``pid`` 0: Postfix's own processes do. ``forget`` empties its cache.
    """

    name: str
    settings: Mapping[str, str]
    pid: int = 0
    asks_directory: bool = True
    forget: Callable[[], None] = lambda: None

    @property
    def mailboxes(self) -> str:
        """Its mailbox table by itself, as ``postmap -q - TABLE`` takes it."""
        return self.settings["virtual_mailbox_maps"]


class Rivals:
    """All of them on one site, with a vmaild and the servers that take part; or ldap: and vmaild alone."""

    def __init__(self, site: Site, say: Callable[[str], None], *, all_of_them: bool = True) -> None:
        self.site = site
        self.vmaild: Vmaild = site.vmaild()
        self._folder = site.new_home("tables")
        self._folder.mkdir()
        self._write_ldap()
        # postmap reads a main.cf, and the machine's own need not exist.
        (self._folder / "main.cf").write_text("compatibility_level = 3.6\n")
        self.all = [Rival(LDAP, self._tables("ldap"))]
        if all_of_them:
            self.all += [Rival(PROXY, self._tables("proxy:ldap")), *self._memcache(say)]
        self.all.append(Rival(VMAILD, _socketmap(self.vmaild.socketmap), self.vmaild.pid, forget=self.vmaild.flush))
        if all_of_them:
            self.dictionary = site.reference("dict", "--table", str(site.table))
            self.all += self._files(say)
            self.all.append(Rival(DICT, _socketmap(self.dictionary.address), self.dictionary.pid, asks_directory=False))

    def named(self, name: str) -> Rival:
        """One of them."""
        return next(rival for rival in self.all if rival.name == name)

    @contextmanager
    def postfix(self, rival: Rival, settings: Mapping[str, str] | None = None) -> Iterator[Postfix]:
        """A Postfix that uses the rival's tables, started for the ``with`` block."""
        proxied = {"proxy_read_maps": " ".join(self._tables("proxy:ldap").values()).replace(",", "")}
        home = self.site.new_home("postfix")
        postfix = Postfix(home, {**SETTINGS, **proxied, **rival.settings, **(settings or {})})
        try:
            postfix.start()
            yield postfix
        finally:
            postfix.close()

    def _tables(self, prefix: str, suffix: str = "cf") -> dict[str, str]:
        named = {name: f"{prefix}:{self._folder}/{name}.{suffix}" for name in _LDAP}
        return {key: ", ".join(named[name] for name in names) for key, names in _MAPS.items()}

    def _write_ldap(self) -> None:
        for name, (base, query, result, more) in _LDAP.items():
            text = f"search_base = {base}\nquery_filter = {query}\nresult_attribute = {result}\n{more}"
            (self._folder / f"{name}.cf").write_text(_SERVER.format(uri=self.site.slapd.uri) + text)

    def _memcache(self, say: Callable[[str], None]) -> Iterator[Rival]:
        program = shutil.which("memcached")
        if program is None:
            say("memcached is missing, so memcache: is left out; on Debian: apt-get install memcached")
            return
        port = free_port()
        command = [program, "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "256", "-c", "1024"]
        server = self.site.serve(command, f"inet:127.0.0.1:{port}")
        for name in _LDAP:
            text = f"memcache = inet:127.0.0.1:{port}\nkey_format = {name}:%s\nttl = 86400\n"
            (self._folder / f"{name}.memcache").write_text(f"{text}backup = proxy:ldap:{self._folder}/{name}.cf\n")
        yield Rival(MEMCACHE, self._tables("memcache", "memcache"), server.pid, forget=lambda: _forget(port))

    def _files(self, say: Callable[[str], None]) -> Iterator[Rival]:
        types = subprocess.run(["postconf", "-c", self._folder, "-m"], capture_output=True, text=True, check=True)
        lines = [line for line in read_lines(self.site.table) if line.key != ANY]
        for map_name, name in FILES.items():
            found = [each for each in lines if each.map_name == map_name and each.expected.status is Status.FOUND]
            text = b"".join(b"%s\t%s\n" % (line.key, line.expected.value or b"") for line in found)
            (self._folder / name).write_bytes(text)
        for kind in FILE_TYPES:
            if kind not in types.stdout.split():
                say(f"this Postfix knows no {kind}: tables; on Debian: apt-get install postfix-{kind}")
                continue
            tables = {key.decode(): f"{kind}:{self._folder}/{name}" for key, name in FILES.items()}
            for table in tables.values():
                subprocess.run(["postmap", "-c", self._folder, table], check=True)
            yield Rival(f"{kind}:", tables, asks_directory=False)


def peer(site: Site) -> Server | None:
    """postfix-mta-sts-resolver's daemon, a socketmap server of another kind; None where it is not installed.

    An address of four numbers is "not found" to it without a look into cache or DNS: what is measured is its protocol.
    """
    if importlib.util.find_spec("postfix_mta_sts_resolver") is None:
        return None
    port = free_port()
    config = site.home / "mta-sts.yml"
    config.write_text(f"host: 127.0.0.1\nport: {port}\nshutdown_timeout: 1\n")
    code = "from postfix_mta_sts_resolver.daemon import main; main()"
    command = [sys.executable, "-c", code, "-c", str(config)]
    return site.serve(command, f"inet:127.0.0.1:{port}")


def _socketmap(address: str) -> dict[str, str]:
    return {name: f"socketmap:{address}:{name}" for name in _MAPS}


def _forget(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as memcached:
        memcached.sendall(b"flush_all\r\n")
        memcached.recv(100)


def master_pid(postfix: Postfix) -> int:
    """The process id of its master(8), which wrote it down."""
    return int((postfix.home / "queue" / "pid" / "master.pid").read_text())

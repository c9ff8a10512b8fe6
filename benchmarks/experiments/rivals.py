"""The kinds of table that Postfix can be given for the HOWTO's tree: vmaild, and what else an administrator could take.

The ``ldap:`` tables are as plain as the preset ``courier``, with each account as an alias of itself, without which a
catch-all would take its mail. ``memcache:`` (memcache_table(5)) keeps what they found, and asks again for the rest.
"""

import importlib.util
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import cycle, islice
from typing import NamedTuple

from benchmarks.experiments.experiment import Run
from benchmarks.load.questions import read_lines
from benchmarks.site.clients import BATCH, NO_DATA, postmap, rcpt
from benchmarks.site.population import BULK_ADDRESS, address, mailbox
from benchmarks.site.site import Server, Site
from benchmarks.site.use import Meter, open_connections
from vmaild.demo.postfix import Postfix
from vmaild.demo.process import free_port, run
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.lookup import Status

VMAILD, LDAP, PROXY, MEMCACHE, DICT = "vmaild", "ldap:", "proxy:ldap:", "memcache:", "dict socketmap server"
_SERVER = f"version = 3\nbind = yes\nbind_dn = {READER_DN}\nbind_pw = {READER_PW}\nserver_host = "
_BELOW = f"o=%d,{SEARCH_BASE}"
_OCCUPANTS = "mail\nspecial_result_attribute = roleOccupant"
_LDAP = {
    "domains": (f"{SEARCH_BASE}\nscope = one", "(&(objectClass=organization)(o=%s))", "o"),
    "mailboxes": (_BELOW, "(&(objectClass=courierMailAccount)(mail=%s))", "mailbox"),
    "aliases": (_BELOW, "(&(objectClass=courierMailAlias)(mail=%s))", "maildrop"),
    "postmasters": (_BELOW, "(&(objectClass=organizationalRole)(cn=postmaster)(cn=%u))", _OCCUPANTS),
    "accounts": (_BELOW, "(&(objectClass=courierMailAccount)(mail=%s))", "mail"),
}
"""By name of the table: search base, filter and result attribute, each with what belongs to it."""
_MAPS = {
    "virtual_mailbox_domains": ("domains",),
    "virtual_mailbox_maps": ("mailboxes",),
    "virtual_alias_maps": ("aliases", "postmasters", "accounts"),
}
CALIBRATION_KEYS, MOST_KEYS = 500, 2_000_000
"""Of each client in the first run; and of all clients in the second."""
SETTINGS = {
    # What is measured ends at the queue manager: delivery asks no table of its own, as by LMTP to an IMAP server.
    "virtual_transport": "discard:",
    # A session resets its transaction after each batch of recipients, and the next one is not to be slowed down.
    "smtpd_junk_command_limit": "1000000",
    "smtpd_recipient_limit": "1000000",
    "default_process_limit": "200",
}


class Rival(NamedTuple):
    """One kind of table: its main.cf, the process that answers (0: Postfix's own), and what empties its cache."""

    name: str
    settings: Mapping[str, str]
    pid: int = 0
    asks_directory: bool = True
    forget: Callable[[], None] = lambda: None


class Rivals:
    """All of them on one site, with a vmaild and the servers that take part; or ldap: and vmaild alone."""

    def __init__(self, run: Run, site: Site, *, all_of_them: bool = True) -> None:
        self.run, self.site, self.vmaild = run, site, site.vmaild()
        self.right = {address(number).encode(): mailbox(number).encode() for number in range(site.accounts)}
        self._folder = site.new_home("tables")
        self._folder.mkdir()
        for name, (base, query, result) in _LDAP.items():
            text = f"search_base = {base}\nquery_filter = {query}\nresult_attribute = {result}\n"
            (self._folder / f"{name}.cf").write_text(f"{_SERVER}{site.slapd.uri}\n{text}")
        # postmap reads a main.cf, and the machine's own need not exist.
        (self._folder / "main.cf").write_text("compatibility_level = 3.6\n")
        vmaild = Rival(VMAILD, _socketmap(self.vmaild.socketmap), self.vmaild.pid, forget=self.vmaild.flush)
        self.all = [Rival(LDAP, self._tables("ldap")), vmaild]
        if all_of_them:
            self.echo, self.peer = site.server("echo"), _peer(site)
            self.dictionary = site.server("dict", "--table", str(site.table))
            self.all[1:1] = [Rival(PROXY, self._tables("proxy:ldap")), *self._memcache()]
            self.all += self._files()
            self.all.append(Rival(DICT, _socketmap(self.dictionary.address), self.dictionary.pid, asks_directory=False))

    def named(self, name: str) -> Rival:
        return next(rival for rival in self.all if rival.name == name)

    @contextmanager
    def postfix(self, rival: Rival, settings: Mapping[str, str] | None = None) -> Iterator[Postfix]:
        """A Postfix that uses the rival's tables, started for the ``with`` block."""
        proxied = {"proxy_read_maps": " ".join(self._tables("proxy:ldap").values()).replace(",", "")}
        every = {**SETTINGS, **proxied, **rival.settings, **(settings or {})}
        with closing(Postfix(self.site.new_home("postfix"), every)) as postfix:
            postfix.start()
            yield postfix

    def postmap(
        self, postfix: Postfix, name: str, rival: Rival, clients: int, keys: Sequence[bytes], *, misses: bool = False
    ) -> None:
        """Ask for ``keys`` by so many ``postmap -q -``, again and again, or, as ``misses``, once of an empty cache."""
        self.run.say(f"postmap -q -, {clients} clients: {name}")
        table = rival.settings["virtual_mailbox_maps"]
        # A run says how many keys fill the time; the one before it fills what caches.
        first = keys[-CALIBRATION_KEYS * clients :] if misses else keys
        for _ in range(1 if misses else 2):
            rate = postmap(postfix.config, table, first, clients, self.right)["rate"]
        count = min(int(rate * self.run.arguments.seconds), len(keys) if misses else MOST_KEYS)
        if misses:
            rival.forget()
        server = rival.pid or (postfix.pid if rival.name == PROXY else 0)
        meter = Meter({"slapd": self.site.slapd.pid, "server": server})
        figures = postmap(postfix.config, table, list(islice(cycle(keys), count)), clients, self.right)
        self.run.rows.add("postmap", name, clients, {**figures, **meter.each(count)})

    def rcpt(self, *, misses: bool = False) -> None:
        """Measure RCPT TO for the bulk domain's accounts in their order, in each number of sessions at once."""
        slapd = self.site.slapd
        if not misses:
            self.site.warm_bulk(self.vmaild)
        for rival in self.all:
            with self.postfix(rival, NO_DATA) as postfix:
                for sessions in self.run.arguments.sessions:
                    self.run.say(f"RCPT TO, sessions: {sessions}, {rival.name}")
                    # The first run starts Postfix's processes, the second says how many recipients fill the time.
                    rcpt(postfix.port, sessions, sessions, BULK_ADDRESS)
                    rate = rcpt(postfix.port, sessions, max(sessions, 4), BULK_ADDRESS)
                    wanted = max(sessions, min(int(rate * self.run.arguments.seconds), self.site.bulk) // BATCH)
                    if misses:
                        rival.forget()
                    meter = Meter({"postfix": postfix.pid, "slapd": slapd.pid, "server": rival.pid})
                    rate = rcpt(postfix.port, sessions, wanted, BULK_ADDRESS)
                    own = open_connections(slapd.port, self.vmaild.pid)
                    connections = own if rival.name == VMAILD else open_connections(slapd.port) - own
                    figures = {"rate": rate, **meter.each(wanted * BATCH), "ldap_connections": connections}
                    self.run.rows.add("rcpt", rival.name, sessions, figures)

    def _tables(self, prefix: str, suffix: str = "cf") -> dict[str, str]:
        named = {name: f"{prefix}:{self._folder}/{name}.{suffix}" for name in _LDAP}
        return {key: ", ".join(named[name] for name in names) for key, names in _MAPS.items()}

    def _memcache(self) -> Iterator[Rival]:
        program = shutil.which("memcached")
        if program is None:
            self.run.say("memcached is missing, so memcache: is left out; on Debian: apt-get install memcached")
            return
        port = free_port()
        options = f"-u nobody -l 127.0.0.1 -p {port} -U 0 -m 256 -c 1024"
        server = self.site.server(address=f"inet:127.0.0.1:{port}", command=[program, *options.split()])
        for name in _LDAP:
            text = f"memcache = inet:127.0.0.1:{port}\nkey_format = {name}:%s\nttl = 86400\n"
            (self._folder / f"{name}.memcache").write_text(f"{text}backup = proxy:ldap:{self._folder}/{name}.cf\n")

        def forget() -> None:
            with socket.create_connection(("127.0.0.1", port)) as memcached:
                memcached.sendall(b"flush_all\r\n")
                memcached.recv(100)

        yield Rival(MEMCACHE, self._tables("memcache", "memcache"), server.pid, forget=forget)

    def _files(self) -> Iterator[Rival]:
        lines = [line for line in read_lines(self.site.table) if line.expected.status is Status.FOUND]
        for name in _MAPS:
            found = (b"%s\t%s\n" % (line.key, line.expected.text) for line in lines if line.map_name == name.encode())
            (self._folder / name).write_bytes(b"".join(found))
        known = run(["postconf", "-c", str(self._folder), "-m"]).split()
        for kind in ("hash", "lmdb", "cdb"):
            if kind not in known:
                self.run.say(f"this Postfix knows no {kind}: tables; on Debian: apt-get install postfix-{kind}")
                continue
            tables = {name: f"{kind}:{self._folder}/{name}" for name in _MAPS}
            run(["postmap", "-c", str(self._folder), *tables.values()])
            yield Rival(f"{kind}:", tables, asks_directory=False)


def _peer(site: Site) -> Server | None:
    """postfix-mta-sts-resolver's daemon, a socketmap server of another kind; None where it is not installed."""
    if importlib.util.find_spec("postfix_mta_sts_resolver") is None:
        return None
    port = free_port()
    config = site.home / "mta-sts.yml"
    config.write_text(f"host: 127.0.0.1\nport: {port}\nshutdown_timeout: 1\n")
    code = "from postfix_mta_sts_resolver.daemon import main; main()"
    return site.server(address=f"inet:127.0.0.1:{port}", command=[sys.executable, "-c", code, "-c", str(config)])


def _socketmap(address: str) -> dict[str, str]:
    return {name: f"socketmap:{address}:{name}" for name in _MAPS}

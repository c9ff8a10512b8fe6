"""The company on three machines, or on two that are both providers, with the internet beside them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.machines.company import Addresses, account, ldif
from tests.machines.hosts import MailHost
from tests.machines.network import LAN, Network
from tests.machines.sending import Message, Sender
from tests.machines.slapds import MachineSlapd, copy_data, syncrepl
from tests.machines.verdict import Row, copies_below, judge, put_off_or_returned

PROVIDER_URI = f"ldap://{LAN.format(10)}:389"

SETTLE_SECONDS = 240.0
"""How long the queues may take to become empty, and the directories to become the same, once nothing is broken."""


class Site:
    """``order`` is that of the tree; with ``two_providers`` each host's slapd is a provider, and there is no third."""

    def __init__(self, order: str, *, two_providers: bool = False, seed: int = 1) -> None:
        self.two_providers = two_providers
        self.home = Path(tempfile.mkdtemp(prefix="vmaild-machines-"))
        self.home.chmod(0o755)
        self._order = order
        self._addresses = Addresses(seed)
        self._stack = ExitStack()
        self._stack.callback(shutil.rmtree, self.home, ignore_errors=True)
        self.backup = self.home / "backup"

    def __enter__(self) -> Site:
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def slow_provider(self, rate: str) -> Iterator[None]:
        """What the provider sends to the lan is limited to this rate, as tc(8) writes it."""
        machine = self.provider_machine
        machine.run("tc", "qdisc", "add", "dev", "lan", "root", "tbf", "rate", rate, "burst", "16kb", "latency", "50ms")
        try:
            yield
        finally:
            machine.run("tc", "qdisc", "del", "dev", "lan", "root")

    @property
    def slapds(self) -> list[MachineSlapd]:
        """All directory servers; the provider first."""
        own = [host.slapd for host in self.hosts]
        # Replaced by a consumer, the provider is none of them.
        return list(dict.fromkeys([self.writable, *own]))

    def warm_up(self) -> None:
        """Mail to what shall be known on each host: both hosts get a message for each case."""
        cases = [case for case in self._addresses.warm() for _ in self.hosts]
        row = self.judge("warm-up", self.sender.send_all(cases, SETTLE_SECONDS))
        assert not row.failures, row.failures[:5]

    def judge(self, fault: str, messages: Iterable[Message]) -> Row:
        """What became of the messages, once the queues are empty; the folders are emptied for the next."""
        self.settle_mail()
        mails = [host.postfix.mail for host in self.hosts]
        logs = [host.postfix.log_text() for host in self.hosts]
        row = judge(fault, messages, copies_below(mails), put_off_or_returned(logs))
        for mail in mails:
            for file in mail.glob("**/new/*"):
                file.unlink()
        return row

    def settle_mail(self) -> bool:
        """Wait until no mail is in a queue."""
        return wait_for(lambda: not any(host.postfix.queued() for host in self.hosts), SETTLE_SECONDS)

    def settle_directories(self) -> None:
        """Wait until all directories hold the same."""
        same = wait_for(lambda: len({slapd.context() for slapd in self.slapds}) == 1, SETTLE_SECONDS)
        assert same, [slapd.context() for slapd in self.slapds]

    def consumer_lines(self, uri: str = PROVIDER_URI) -> list[str]:
        """The lines of a consumer of this provider."""
        return [syncrepl(uri), f"updateref {uri}"]

    def _build(self) -> None:
        self.network = self._stack.enter_context(Network(self.home))
        self.internet = self.network.machine("internet", 1)
        self.machines = [self.network.machine(f"host{number}", 10 + number) for number in (1, 2)]
        if self.two_providers:
            self.hosts = self._providers()
        else:
            self._start_provider()
            self.hosts = self._consumers()
        self.writable = self.hosts[0].slapd if self.two_providers else self.provider
        for host in self.hosts:
            host.start()
        self.writable.add("".join(account(mail) for mail in self._addresses.recent))
        self.sender = Sender(self.internet, [host.machine.net for host in self.hosts], self._addresses)
        self.settle_directories()

    def _start_provider(self) -> None:
        machine = self.network.machine("provider", 10)
        self.provider = MachineSlapd(machine, self.home / "provider", ldif=self._content())
        self._stack.callback(self.provider.stop)
        self._load(self.provider)
        self.provider.start()
        self.provider_machine = machine

    def _load(self, slapd: MachineSlapd) -> None:
        """Fill it, and let it write its contextCSN, which it does when it ends."""
        slapd.start()
        slapd.stop()
        copy_data(slapd.home / "data", self.backup)

    def _content(self) -> Path:
        file = self.home / "company.ldif"
        with file.open("w") as lines:
            lines.writelines(ldif(self._order))
        return file

    def _consumers(self) -> list[MailHost]:
        slapds = []
        for number, machine in enumerate(self.machines, 1):
            slapd = MachineSlapd(machine, self.home / f"slapd{number}", database=self.consumer_lines())
            self._begin(slapd)
            slapds.append(slapd)
        return self._mail_hosts(slapds, [PROVIDER_URI])

    def _providers(self) -> list[MailHost]:
        first = MachineSlapd(self.machines[0], self.home / "slapd1", ldif=self._content())
        self._load(first)
        slapds = [first, MachineSlapd(self.machines[1], self.home / "slapd2")]
        for number, slapd in enumerate(slapds):
            uris = [f"ldap://{machine.lan}:389" for machine in self.machines]
            both = [syncrepl(uri, rid) for rid, uri in enumerate(uris, 1)]
            slapd.configure([*both[1 - number : 2 - number], "multiprovider on"], [f"serverID {number + 1}"])
            self._begin(slapd)
        return self._mail_hosts(slapds, [])

    def _begin(self, slapd: MachineSlapd) -> None:
        slapd.load_copy(self.backup)
        self._stack.callback(slapd.stop)
        slapd.start()

    def _mail_hosts(self, slapds: Sequence[MachineSlapd], more: Sequence[str]) -> list[MailHost]:
        hosts = []
        for number, (machine, slapd) in enumerate(zip(self.machines, slapds, strict=True)):
            others = [slapds[1 - number].lan_uri, *more]
            host = MailHost(machine, self.home / machine.name, slapd, others)
            self._stack.callback(host.close)
            hosts.append(host)
        return hosts


def wait_for(happens: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Whether it happens within ``seconds``."""
    give_up = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > give_up:
            return False
        time.sleep(pause)
    return True

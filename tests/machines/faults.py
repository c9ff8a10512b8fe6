"""What breaks, and how it is mended, each as a function that takes the site under load.

``rest`` lets mail flow for some seconds. ``seen`` makes changes and notes how long they took to show on the hosts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.machines import changes
from tests.machines.company import account, newcomer
from tests.machines.hosts import MailHost
from tests.machines.sending import Message
from tests.machines.site import Site, wait_for
from tests.machines.slapds import MachineSlapd, Slow
from tests.machines.verdict import SEEN_SECONDS
from vmaild.demo.process import ProcessError

FIRST_LOAD_RATE = "4mbit"
"""What the provider sends at most while a consumer loads: it takes half a minute then, as a larger tree would."""

NEWCOMERS = 4
"""Accounts, half of them in domains with a catch-all, that are created at each measurement of changes."""

NOWHERE = "ldap://127.0.0.1:9"
"""A provider that is not there."""


@dataclass(slots=True)
class Trial:
    """A site under load, and what was noted."""

    site: Site
    messages: list[Message]
    noted: list[tuple[str, float]] = field(default_factory=list)

    def rest(self, seconds: float) -> None:
        """Let mail flow."""
        time.sleep(seconds)

    def seen(self, what: str, slapd: MachineSlapd | None = None, hosts: Sequence[MailHost] = ()) -> None:
        """Make changes at ``slapd``, and note how long they took to show on ``hosts``; by default everywhere."""
        where = slapd or self.site.writable
        self.noted.append((what, changes.measure(where, hosts or self.site.hosts)))
        if not hosts:
            self.newcomers(where)

    def newcomers(self, slapd: MachineSlapd) -> None:
        """Create accounts, and ``SEEN_SECONDS`` later send mail to them by each host."""
        cases = [newcomer() for _ in range(NEWCOMERS)]
        slapd.add("".join(account(case.recipient) for case in cases))
        self.rest(SEEN_SECONDS)
        for case in cases:
            for _ in self.site.hosts:
                self.site.sender.submit(case, self.messages)


def nothing(trial: Trial) -> None:
    """All is well."""
    trial.rest(6)
    trial.seen("all well")


def provider_down(trial: Trial) -> None:
    """Mail flows, and changes wait."""
    provider = trial.site.provider
    provider.stop()
    trial.rest(12)
    try:
        changes.create(provider)
        raise AssertionError("the provider was not down")
    except ProcessError:
        pass
    provider.start()
    trial.seen("provider just back, made up for")


def consumer_down(trial: Trial) -> None:
    """One host's own consumer is stopped, and later started."""
    slapd = trial.site.hosts[0].slapd
    slapd.stop()
    trial.rest(8)
    trial.seen("consumer down")
    slapd.start()
    trial.rest(4)
    trial.seen("consumer back")


def consumer_slow(trial: Trial) -> None:
    """One host's own consumer takes up to 0.7 s for an answer."""
    with Slow(trial.site.hosts[0].slapd):
        trial.rest(12)
        trial.seen("slow")
    trial.seen("slow no more")


def consumer_hangs(trial: Trial) -> None:
    """One host's own consumer accepts connections and never answers."""
    slapd = trial.site.hosts[0].slapd
    slapd.suspend()
    trial.rest(12)
    trial.seen("consumer hangs")
    slapd.resume()
    trial.rest(3)
    trial.seen("consumer back")


def first_load(trial: Trial) -> None:
    """One host's own consumer has lost its data, and loads them again."""
    slapd = trial.site.hosts[0].slapd
    slapd.stop()
    slapd.empty()
    with trial.site.slow_provider(FIRST_LOAD_RATE):
        slapd.start()
        trial.rest(4)
        trial.seen("loading")
        assert not slapd.context(), "the first load was over before it could do harm"
        trial.site.settle_directories()
    trial.rest(4)
    trial.seen("loaded")


def behind(trial: Trial) -> None:
    """One host's own consumer has the data of days ago and does not reach its provider; then it does."""
    slapd = _put_back(trial)
    trial.rest(8)
    trial.seen("behind")
    _catch_up(trial, slapd)


def behind_from_the_start(trial: Trial) -> None:
    """The same, and vmaild is started in that time: without what it kept on disk, it has never seen a newer server."""
    host = trial.site.hosts[0]
    slapd = _put_back(trial)
    host.forget()
    trial.rest(8)
    trial.seen("behind, vmaild started again")
    _catch_up(trial, slapd)


def _put_back(trial: Trial) -> MachineSlapd:
    slapd = trial.site.hosts[0].slapd
    slapd.stop()
    slapd.load_copy(trial.site.backup)
    slapd.configure(trial.site.consumer_lines(NOWHERE))
    slapd.start()
    return slapd


def _catch_up(trial: Trial, slapd: MachineSlapd) -> None:
    slapd.stop()
    slapd.configure(trial.site.consumer_lines())
    slapd.start()
    trial.site.settle_directories()
    trial.rest(3)
    trial.seen("caught up")


def stops_following(trial: Trial) -> None:
    """One host no longer reaches the provider. Its own consumer runs, and hears nothing; the other host's does."""
    site = trial.site
    machine = site.machines[0]
    machine.ip("route", "add", "blackhole", f"{site.provider_machine.lan}/32")
    trial.rest(8)
    trial.seen("not following")
    machine.ip("route", "del", "blackhole", f"{site.provider_machine.lan}/32")
    site.settle_directories()
    trial.rest(3)
    trial.seen("following")


def cut_off_from_the_lan(trial: Trial) -> None:
    """One host reaches no other machine of ours. Mail reaches it, and it has its own consumer."""
    _cut_off(trial, ["lan"])


def cut_off(trial: Trial) -> None:
    """One host reaches nobody, and mail goes to the other one."""
    _cut_off(trial, ["lan", "net"])


def _cut_off(trial: Trial, networks: Sequence[str]) -> None:
    site = trial.site
    there, here = site.hosts
    for network in networks:
        site.network.cut(there.machine, network)
    trial.rest(8)
    trial.seen("on the other host", hosts=[here])
    new = changes.create(site.writable)
    trial.rest(4)
    for network in networks:
        site.network.mend(there.machine, network)
    trial.noted.append(("cut off, made up for", seen(there, new)))
    trial.seen("links back")


def seen(host: MailHost, address: str) -> float:
    """Seconds from now until a host has heard of an account."""
    localpart, _, domain = address.partition("@")
    return changes.seen_after([host], changes.MAILBOXES, address, f"{domain}/{localpart}/", time.monotonic())


def lost(trial: Trial) -> None:
    """One host is gone at once; a new one has its mail and nothing else, and takes mail while its consumer loads."""
    site = trial.site
    host = site.hosts[0]
    host.lose()
    trial.rest(6)
    trial.seen("lost", hosts=[site.hosts[1]])
    with site.slow_provider(FIRST_LOAD_RATE):
        host.slapd.start()
        host.start()
        trial.rest(4)
        trial.seen("rebuilt, loading")
        site.settle_directories()
    trial.rest(4)
    trial.seen("rebuilt")


def both_consumers(trial: Trial) -> None:
    """No consumer runs; the provider does."""
    for host in trial.site.hosts:
        host.slapd.stop()
    trial.rest(8)
    trial.seen("both consumers down")
    for host in trial.site.hosts:
        host.slapd.start()
    trial.rest(4)
    trial.seen("consumers back")


def no_directory(trial: Trial) -> None:
    """Nothing of the directory runs: the cache carries what is known, and the snapshot over a restart."""
    site = trial.site
    for slapd in site.slapds:
        slapd.stop()
    trial.rest(6)
    site.hosts[0].restart_daemon()
    trial.rest(6)
    for slapd in site.slapds:
        slapd.start()
    site.settle_directories()
    trial.rest(3)
    trial.seen("directory back")


def promoted(trial: Trial) -> None:
    """The provider dies; the first host's consumer becomes the provider, at its address."""
    site = trial.site
    site.provider.kill()
    site.network.cut(site.provider_machine, "lan")
    trial.rest(5)
    heir = site.hosts[0]
    heir.slapd.stop()
    heir.slapd.configure([])
    heir.slapd.start()
    heir.machine.take_over(site.provider_machine)
    site.writable = heir.slapd
    took = wait_for(lambda: _follows(site), 30.0)
    assert took, "the other consumer did not find the new provider"
    trial.rest(3)
    trial.seen("promoted")


def _follows(site: Site) -> bool:
    new = changes.create(site.writable)
    return seen(site.hosts[1], new) < 5.0


def split(trial: Trial) -> None:
    """Two providers do not see each other; each takes changes; then they do, and agree."""
    site = trial.site
    site.network.cut(site.machines[0], "lan")
    trial.rest(5)
    news = []
    for host in site.hosts:
        trial.seen("each side", host.slapd, [host])
        news.append(changes.create(host.slapd))
    trial.rest(5)
    site.network.mend(site.machines[0], "lan")
    others = zip(reversed(site.hosts), news, strict=True)
    trial.noted.append(("split, made up for", max(seen(host, new) for host, new in others)))
    site.settle_directories()
    for host in site.hosts:
        trial.seen("split over", host.slapd)


def one_of_two_providers(trial: Trial) -> None:
    """One of two providers crashes, and comes back."""
    site = trial.site
    slapd, other = (host.slapd for host in site.hosts)
    slapd.kill()
    trial.rest(8)
    trial.seen("one provider down", other)
    slapd.start()
    site.settle_directories()
    trial.rest(3)
    for one in (slapd, other):
        trial.seen("both back", one)

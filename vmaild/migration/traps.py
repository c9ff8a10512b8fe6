"""What turns a working Postfix into one that bounces or waits when its tables become socketmaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vmaild.migration.local_domains import local_domains
from vmaild.migration.uses import USES, is_access_check
from vmaild.postfix.files import Site
from vmaild.postfix.tables import words

_LOCAL = "virtual"
"""The transport of virtual(8)."""
_LOOKING_UP = ("smtpd", "cleanup", "trivial-rewrite", "qmgr")
"""The programs that ask the tables."""


def traps(site: Site, changes: dict[str, list[str]], endpoint: str) -> list[str]:
    """What to know about the changed parameters; may add to ``changes`` what must change with them."""
    return [
        *_alias_domains(site, changes),
        *_mailbox_domains(site, changes),
        *_virtual_agent(site, changes),
        *_several_maps(changes),
        *_parents(site, changes),
        *_local_users(site, changes),
        *_overrides(site),
        *_chroot(site, endpoint),
    ]


def _alias_domains(site: Site, changes: dict[str, list[str]]) -> Iterator[str]:
    if "virtual_alias_maps" not in changes and "virtual_maps" not in changes:
        return
    if "virtual_alias_domains" not in site.main:
        changes["virtual_alias_domains"] = []
        yield (
            "virtual_alias_domains: is $virtual_alias_maps by default, which vmaild answers 'not found' for a bare"
            " domain; it is set to nothing. List the domains there that have aliases only"
        )


def _mailbox_domains(site: Site, changes: dict[str, list[str]]) -> Iterator[str]:
    if "virtual_mailbox_maps" in changes and "virtual_mailbox_domains" not in site.main:
        yield (
            "virtual_mailbox_domains: is $virtual_mailbox_maps by default, which vmaild answers 'not found' for a bare"
            " domain: every mailbox would be refused. Set it to the domains, or to a map of them"
        )


def _virtual_agent(site: Site, changes: dict[str, list[str]]) -> Iterator[str]:
    if "virtual_mailbox_maps" not in changes:
        return
    if site.main.value("virtual_transport").partition(":")[0] != _LOCAL:
        return
    agents = [service for service in site.master if service.command == _LOCAL] if site.master else []
    if any("virtual_mailbox_maps" in service.overrides for service in agents):
        return
    before = ", ".join(words(site.main.value("virtual_mailbox_maps")))
    yield (
        "virtual_mailbox_maps: virtual(8) delivers (virtual_transport) and refuses socketmap tables: all mail would"
        " wait. Deliver by LMTP, or leave it its own table in master.cf, below the line of virtual:"
        f" -o {{ virtual_mailbox_maps = {before} }}"
    )


def _several_maps(changes: Mapping[str, list[str]]) -> Iterator[str]:
    for name, changed in changes.items():
        tables = [word for word in changed if ":" in word or word.startswith("$")]
        others = [word for word in tables if not word.startswith("socketmap:")]
        ours = len(tables) - len(others)
        if not ours or name.endswith("_restrictions"):
            continue
        if others or ours > 1:
            yield (
                f"{name}: has {len(tables)} tables. Postfix asks a socketmap for the full address only, before the"
                " shorter keys of any other table: a catch-all of one hides an exact address of the next"
            )


def _parents(site: Site, changes: Mapping[str, list[str]]) -> Iterator[str]:
    listed = words(site.main.value("parent_domain_matches_subdomains"))
    checks = any(is_access_check(word) for changed in changes.values() for word in changed)
    if checks and "smtpd_access_maps" not in listed:
        yield (
            "parent_domain_matches_subdomains: has no smtpd_access_maps, so Postfix looks for parents of a domain as"
            " '.parent' in access tables; maps with keys = 'access' look for them without the dot"
        )
    if "transport_maps" in changes and "transport_maps" in listed:
        yield (
            "parent_domain_matches_subdomains: has transport_maps, so Postfix looks for parents of a domain without a"
            " dot; maps with keys = 'transport' look for '.parent'"
        )


def _local_users(site: Site, changes: Mapping[str, list[str]]) -> Iterator[str]:
    """Where the domains of local users are not known, they are not looked for."""
    if local_domains(site.main) or not words(site.main.value("mydestination")):
        return
    for name in changes:
        if name in USES and USES[name].keys == "address":
            yield (
                f"{name}: for a domain of mydestination Postfix looks for the localpart alone too. mydestination is no"
                " plain list, which vmaild needs for that: no map looks for it"
            )


def _overrides(site: Site) -> Iterator[str]:
    for service in site.master:
        for name, value in service.overrides.items():
            if "ldap:" in value:
                yield f"master.cf: {service.title} has -o {name} with an ldap: table of its own, which stays"


def _chroot(site: Site, endpoint: str) -> Iterator[str]:
    jail = site.main.value("queue_directory") or "/var/spool/postfix"
    path = endpoint.removeprefix("unix:")
    chrooted = [service.title for service in site.master if service.chroot and service.command in _LOOKING_UP]
    if path == endpoint or not chrooted or path.startswith(f"{jail}/"):
        return
    yield (
        f"{endpoint}: {chrooted[0]} is chrooted and does not see it: put the socket below {jail}, and name it in"
        " main.cf without that"
    )

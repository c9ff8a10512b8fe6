"""Where mail to an address ends: aliases followed as cleanup(8) does, then each recipient as Postfix classes it. Pure.

cleanup_map1n(3), read in Postfix's source: the list of recipients is gone through once; each is looked up again and
again until nothing is found for it, its place taken by the first value and the others put at the end. An address that
expands into itself is expanded once only. More recipients than virtual_alias_expansion_limit, or more steps for one
than virtual_alias_recursion_limit, and the message is not accepted but tried again later. So it is for a loop, which is
told here as soon as an address comes out of itself; Postfix goes round until a limit ends it.

``lookup(address)`` is the alias table: its values, ``()`` for none. It raises ``Fails`` for a temporary failure.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vmaild.tables import address as addresses

EXPANSION_LIMIT = 1000
"""virtual_alias_expansion_limit, postconf(5)."""

RECURSION_LIMIT = 1000
"""virtual_alias_recursion_limit, postconf(5)."""


class Fails(Exception):
    """The table cannot answer now. The text is for the administrator."""


class Ends(enum.Enum):
    """What becomes of a recipient."""

    MAILBOX = "mailbox"
    LOCAL = "local user"
    REMOTE = "remote address"
    UNKNOWN = "dead end"
    LOOP = "loop"
    WAITS = "waits"


class Recipient(NamedTuple):
    """One end: the address, what becomes of it, more in words, and through which addresses it came."""

    address: str
    ends: Ends
    text: str
    way: tuple[str, ...]


@dataclass
class Site:
    """What decides where a recipient ends.

    ``hosted(domain)`` and ``mailbox(address)`` are vmaild's other maps; both raise ``Fails``. ``local`` are the domains
    of mydestination. ``origin`` is put behind an address without a domain.
    """

    lookup: Callable[[str], Sequence[str]]
    hosted: Callable[[str], bool]
    mailbox: Callable[[str], str]
    local: Collection[str] = ("localhost",)
    origin: str = "localhost"
    expansion_limit: int = EXPANSION_LIMIT
    recursion_limit: int = RECURSION_LIMIT


@dataclass
class _Place:
    """A place in the list of recipients: what stands there now, and the way there."""

    address: str
    way: tuple[str, ...] = field(default=())


def route(address: str, site: Site) -> list[Recipient]:
    """Where mail to ``address`` ends. One recipient that waits makes all of the message wait: it stands first then."""
    places = [_Place(_full(address, site))]
    itself: set[str] = set()
    ended: list[Recipient] = []
    whole: list[_Place] = []
    for place in places:
        if len(places) > site.expansion_limit:
            text = f"more than {site.expansion_limit} recipients (virtual_alias_expansion_limit): not accepted"
            return [Recipient(place.address, Ends.WAITS, text, place.way), *ended]
        bad = _expand(place, places, itself, site)
        if bad is not None:
            ended.insert(0, bad)
        else:
            whole.append(place)
    unique = {place.address.casefold(): place for place in reversed(whole)}
    return [*ended, *(_end(place, site) for place in reversed(unique.values()))]


def _expand(place: _Place, places: list[_Place], itself: set[str], site: Site) -> Recipient | None:
    """Follow one place until nothing is found for it; what is wrong with it, if anything."""
    for _ in range(site.recursion_limit):
        before = place.address
        if before.casefold() in itself:
            return None
        try:
            values = [_full(value, site, before) for value in site.lookup(before)]
        except Fails as error:
            return Recipient(before, Ends.WAITS, f"the alias table fails: {error}", place.way)
        if not values:
            return None
        way = (*place.way, before)
        if any(value.casefold() == before.casefold() for value in values):
            itself.add(before.casefold())
        gone = {one.casefold() for one in way} - itself
        for value in values:
            if value.casefold() in gone:
                chain = " -> ".join((*way, value))
                return Recipient(value, Ends.LOOP, f"{chain}: Postfix defers the message", place.way)
        place.address, place.way = values[0], way
        places += [_Place(value, way) for value in values[1:]]
        if len(places) > site.expansion_limit:
            return None
    text = f"more than {site.recursion_limit} steps (virtual_alias_recursion_limit): not accepted"
    return Recipient(place.address, Ends.WAITS, text, place.way)


def _full(value: str, site: Site, before: str = "") -> str:
    """A value as cleanup makes an address of it: ``@domain`` keeps the localpart, no domain gets the origin."""
    if value.startswith("@"):
        return f"{before.rpartition('@')[0]}{value}"
    return value if "@" in value else f"{value}@{site.origin}"


def _end(place: _Place, site: Site) -> Recipient:
    """What becomes of an address for which there is no alias."""
    address, way = place.address, place.way
    _, _, domain = address.rpartition("@")
    if domain.casefold() in site.local:
        return Recipient(address, Ends.LOCAL, "local(8) delivers", way)
    try:
        if not site.hosted(domain):
            return Recipient(address, Ends.REMOTE, "sent on by SMTP", way)
        mailbox = site.mailbox(address)
    except Fails as error:
        return Recipient(address, Ends.WAITS, str(error), way)
    if mailbox:
        return Recipient(address, Ends.MAILBOX, mailbox, way)
    return Recipient(address, Ends.UNKNOWN, f"{domain} is hosted here and has no such address: it bounces", way)


def values_of(text: str) -> list[str]:
    """The addresses of an alias table's value: separated by commas, where none stands in a quoted localpart."""
    return addresses.split_values(text)

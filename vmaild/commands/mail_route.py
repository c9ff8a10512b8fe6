"""Where mail to an address ends: aliases followed as cleanup(8) does, then each recipient as Postfix classes it. Pure.

cleanup_map1n(3), read in Postfix's source: the list of recipients is gone through once; each is looked up again and
again until nothing is found for it, its place taken by the first value and the others put at the end. An address that
expands into itself is expanded once only. More recipients than virtual_alias_expansion_limit, more steps for one than
virtual_alias_recursion_limit, or a longer address than virtual_alias_address_length_limit, and the message is not
accepted but tried again later. That is also how a loop ends, which is named here by the addresses that it goes through.

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

LENGTH_LIMIT = 1000
"""virtual_alias_address_length_limit, postconf(5)."""


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
    expansion = _Expansion(site, places)
    whole: list[_Place] = []
    failed: list[Recipient] = []
    for place in places:
        if len(places) > site.expansion_limit:
            limit = f"more than {site.expansion_limit} recipients (virtual_alias_expansion_limit)"
            return [_stopped(place, limit)]
        try:
            stop = expansion.expand(place)
        except Fails as error:
            failed.append(Recipient(place.address, Ends.WAITS, f"the alias table fails: {error}", place.way))
            continue
        if stop is not None:
            return [stop]
        whole.append(place)
    unique = {place.address.casefold(): place for place in reversed(whole)}
    return [*failed, *(_end(place, site) for place in reversed(unique.values()))]


class _Expansion:
    """Follows the places of one list, which grows as they are followed. What the table said once is not asked again."""

    def __init__(self, site: Site, places: list[_Place]) -> None:
        self._site = site
        self._places = places
        self._itself: set[str] = set()
        self._known: dict[str, list[str]] = {}

    def expand(self, place: _Place) -> Recipient | None:
        """Follow one place until nothing is found for it; the limit that stops all, if any. Raises ``Fails``."""
        site = self._site
        for steps in range(site.recursion_limit + 1):
            before = place.address
            if before.casefold() in self._itself:
                return None
            if steps == site.recursion_limit:
                break
            values = self._values(before)
            if not values:
                return None
            if any(len(value) > LENGTH_LIMIT for value in values):
                return _stopped(place, f"an address of more than {LENGTH_LIMIT} letters")
            if any(value.casefold() == before.casefold() for value in values):
                self._itself.add(before.casefold())
            place.way = (*place.way, before)
            place.address = values[0]
            self._places += [_Place(value, place.way) for value in values[1:]]
        return _stopped(place, f"more than {site.recursion_limit} steps (virtual_alias_recursion_limit)")

    def _values(self, address: str) -> list[str]:
        known = self._known.get(address)
        if known is None:
            known = self._known[address] = [_full(value, self._site, address) for value in self._site.lookup(address)]
        return known


def _stopped(place: _Place, limit: str) -> Recipient:
    """What a limit ends: a loop, when an address comes twice on the way."""
    seen: list[str] = []
    for address in (*place.way, place.address):
        if address in seen:
            chain = " -> ".join([*seen, address])
            text = f"{chain}: Postfix goes round until {limit}, and defers the message"
            return Recipient(address, Ends.LOOP, text, tuple(seen[:-1]))
        seen.append(address)
    return Recipient(place.address, Ends.WAITS, f"{limit}: not accepted, tried again later", place.way)


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

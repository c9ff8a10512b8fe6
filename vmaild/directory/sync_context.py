"""The state of a server's database: which suffix holds a DN, and the suffix's ``contextCSN``; what it offers.

``contextCSN`` is an attribute of the database's suffix, which is not always the search base, and only where
slapo-syncprov is set up. It is absent while a consumer is in its first load, and where an access rule hides it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple

from vmaild.directory.sync_cookie import Cookie
from vmaild.directory.sync_requests import SYNC_REQUEST
from vmaild.tables import dn

ReadEntry = Callable[[str, tuple[str, ...]], Awaitable[Mapping[str, tuple[bytes, ...]] | None]]
"""Reads the entry of a DN with these attributes, values by lower-case name; None when there is none to be seen."""

ROOT_DSE = ""  # RFC 4512, 5.1


class Context(NamedTuple):
    """``suffix`` of the database that holds the base, empty when the server names none; ``cookie`` its state.

    ``cookie`` is None when it has no ``contextCSN``: no syncprov, the first load, or an access rule.
    ``offers_sync``: the server knows the Sync Request control. slapd announces it when syncprov is loaded, even for a
    database without the overlay, which then refuses the search with result 12.
    """

    suffix: str
    cookie: Cookie | None
    offers_sync: bool


def suffix_of(base: str, naming_contexts: Iterable[str]) -> str:
    """The longest of ``naming_contexts`` that ``base`` is or is below; empty when there is none."""
    place = dn.parse(base)
    best, length = "", 0
    for context in naming_contexts:
        try:
            suffix = dn.parse(context)
        except ValueError:
            continue
        if len(suffix) > length and dn.under(place, suffix):
            best, length = context, len(suffix)
    return best


async def read_context(read: ReadEntry, base: str) -> Context:
    """The state of the database that holds ``base``, by two reads. Raises what ``read`` raises, and ``ValueError``."""
    root = await read(ROOT_DSE, ("namingContexts", "supportedControl")) or {}
    suffix = suffix_of(base, (value.decode(errors="replace") for value in root.get("namingcontexts", ())))
    offers_sync = SYNC_REQUEST in root.get("supportedcontrol", ())
    if not suffix:
        return Context("", None, offers_sync)
    return Context(suffix, await read_cookie(read, suffix), offers_sync)


async def read_cookie(read: ReadEntry, suffix: str) -> Cookie | None:
    """The state of the database of ``suffix``, None when there is none to be seen: for a poll, one read."""
    entry = await read(suffix, ("contextCSN",)) or {}
    values = entry.get("contextcsn", ())
    return Cookie.of_context(values) if values else None

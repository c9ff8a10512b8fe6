"""``vmaild audit --as DN``: asks the server what this account may do in the directory and should not.

Writes are tried by changes that the server judges and does not make (``vmaild.directory.trial``), so that its access
rules, its restrictions and its overlays all have their say; what slapacl(8) tells of rules alone is less. Reading is
tried by reading.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from vmaild.commands.audit_rules import Problem
from vmaild.commands.audit_trials import Domain, Samples, judged, sides, trials
from vmaild.directory import DirectorySettings
from vmaild.directory.examine import Level
from vmaild.directory.trial import TrialError, tried
from vmaild.directory.walk import WalkConnection, connected
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Entry, Scope, Search
from vmaild.tables import dn


class Access(NamedTuple):
    """As whom how much was tried, and what is wrong."""

    who: str
    tried: int
    problems: list[Problem]


async def access_of(settings: DirectorySettings, uri: str, samples: Samples) -> Access:
    """``settings`` bind as the account. Raises ``DirectoryFailure``, ``TrialError``, OSError."""
    who = settings.bind_dn
    try:
        dn.parse(who)
    except ValueError:
        raise TrialError(f"{who!r} is no DN") from None
    own, other = sides(samples, who)
    if own is None or other is None:
        raise TrialError(
            f"{who}: nothing to try, which takes an account in a domain whose role it has, or that it is of, and one"
            " in another domain"
        )
    rows = trials(samples, who)
    codes = await tried(settings, uri, [row.change for row in rows])
    return Access(who, len(rows) + READS, [*judged(rows, codes), *await _reads(settings, uri, own, other)])


READS = 2
"""Things that are tried by reading; the first change of the trials is none."""


async def _reads(settings: DirectorySettings, uri: str, own: Domain, other: Domain) -> list[Problem]:
    found: list[Problem] = []
    assert own.account is not None
    assert other.account is not None
    async with connected(settings, uri) as connection:
        if await _shown(connection, other.account.dn, "mail", settings.timeout):
            found.append(_error(other.account.dn, f"this account reads entries of {other.name}"))
        for domain, account in ((own, own.account), (other, other.account)):
            shown = await _shown(connection, account.dn, "userPassword", settings.timeout)
            if any(entry.values("userpassword") for entry in shown):
                found.append(_error(account.dn, f"this account reads passwords of {domain.name}"))
    return found


async def _shown(connection: WalkConnection, name: str, attribute: str, seconds: float) -> list[Entry]:
    """The entry, as far as it is shown; nothing where the server says no."""
    end = asyncio.get_running_loop().time() + seconds
    try:
        return await connection.search(Search(name, Scope.BASE, "(objectClass=*)", (attribute,)), end)
    except DirectoryFailure:
        if connection.dead:
            raise
        return []


def _error(entry: str, text: str) -> Problem:
    return Problem(Level.ERROR, "access", entry, text)

"""Whether the hosted domains can be known as a set: then an address of no hosted domain need not be searched for.

They can where one map has a domain for its key and finds it by its DN alone, one level below a fixed entry
(``search_base = "o=%s,o=hosting,..."``, ``scope = "base"``), and where all that other maps look for stands at or below
such entries (``o=%d,o=hosting,...``). The preset is made so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vmaild.lookup import Scope, Search
from vmaild.tables import dn
from vmaild.tables.naming import Naming
from vmaild.tables.table import Group


class Hosted(NamedTuple):
    """``base`` has the hosted domains one level below it; ``groups`` are those that hold nothing of other domains.

    ``naming`` tells the domain by the DN. ``group`` is that of the map of domains, one of ``groups``.
    """

    base: str
    naming: Naming
    group: Group
    groups: tuple[Group, ...]

    def search(self) -> Search:
        """Finds the entries of all hosted domains."""
        return Search(self.base, Scope.ONE, "(objectClass=*)", ("entryuuid",), base_exists=True)

    def domain(self, name: str | dn.Dn) -> str | None:
        """The domain that the entry of a DN stands for; None when it is of none."""
        return next(iter(self.naming.of(name, {}).keys), None)


def hosted_domains(groups: Sequence[Group]) -> Hosted | None:
    """How the hosted domains are known; None where the maps do not allow it."""
    for group in groups:
        found = _below(group)
        if found is None:
            continue
        attribute, base = found
        within = tuple(one for one in groups if one is group or _all_within(one, attribute, base, group.directory))
        return Hosted(base, Naming(group), group, within)
    return None


def _below(group: Group) -> tuple[str, str] | None:
    """The attribute that names a domain, and the DN above; None when this is no map of domains by DN."""
    if group.tables[0].settings.keys != "domain" or len(group.tables) != 1 or len(group.tables[0].queries) != 1:
        return None
    (query,) = group.tables[0].queries
    first, _, base = query.search_base.text.partition(",")
    attribute, _, value = first.partition("=")
    if query.scope is not Scope.BASE or value.strip() != "%s" or "%" in base or query.query_filter.template.dynamic:
        return None
    return (attribute.strip().lower(), base) if dn.well_formed(base) and base else None


def _all_within(group: Group, attribute: str, base: str, directory: int) -> bool:
    """Whether the maps are of addresses, and each query searches at or below the entry of the address's domain."""
    if group.tables[0].settings.keys != "address":
        return False
    place = dn.parse(f"{attribute}=%d,{base}")
    for table in group.tables:
        for query in table.queries:
            if query.directory != directory:
                return False
            try:
                if not dn.under(dn.parse(query.search_base.text), place):
                    return False
            except ValueError:
                return False
    return True

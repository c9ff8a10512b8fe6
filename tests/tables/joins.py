"""Joined searches against one by one, on a real slapd, by the thousand.

``python -m tests.tables.joins --comparisons 100000 [--seed N]`` makes directories and tables at random, looks keys up
in both ways and compares what each table answers: joined, as the schema read from that slapd allows, and one by one,
each table for itself and without a schema. It ends with status 1 and the first differences when there are any.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.tables import random_tables
from tests.tables.random_tables import BASE, Directory
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.slapd import Slapd
from vmaild.directory.bonsai_patches import Credentials
from vmaild.directory.connection import LdapConnection
from vmaild.errors import DataError, DirectoryFailure
from vmaild.lookup import Entry, Reply, Scope, Search
from vmaild.tables import Group, KeyLookup, Schema

SECONDS = 10.0
"""For one search; never reached."""

LOOKUPS_OF_A_DIRECTORY = 40
KEYS_OF_A_GROUP = 5

Outcome = Reply | str
"""A table's answer; the word TEMP or DataError where there is none."""

OR = "1.3.6.1.4.1.32473.1"  # an OID for examples, RFC 5612

_STRING, _IA5, _PRINTABLE, _INTEGER, _BOOLEAN, _DN = (
    f"1.3.6.1.4.1.1466.115.121.1.{n}" for n in (15, 26, 44, 27, 7, 12)
)
_TYPES = (
    f"NAME 'orStatus' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX {_STRING}",
    f"NAME 'orExact' EQUALITY caseExactMatch SYNTAX {_STRING}",
    f"NAME 'orPrintable' EQUALITY caseIgnoreMatch SYNTAX {_PRINTABLE}",
    f"NAME 'orNumber' EQUALITY integerMatch ORDERING integerOrderingMatch SYNTAX {_INTEGER}",
    f"NAME 'orFlag' EQUALITY booleanMatch SYNTAX {_BOOLEAN}",
    f"NAME 'orSecret' EQUALITY caseIgnoreIA5Match SYNTAX {_IA5}",
    f"NAME 'orHidden' EQUALITY caseIgnoreIA5Match SYNTAX {_IA5}",
    "NAME ( 'orTitle' 'orHeading' ) SUP name",
    "NAME 'orNick' SUP orTitle",
    "NAME 'orCovert' SUP orTitle",
    f"NAME 'orBlob' SYNTAX {_IA5}",
)
_MAY = (
    "mail $ maildrop $ mailbox $ description $ orStatus $ orExact $ orPrintable $ orNumber $ orFlag $ orSecret $ "
    "orHidden $ orTitle $ orNick $ orCovert $ orBlob $ member $ o $ ou"
)
_CLASSES = (
    f"NAME 'orThing' SUP top STRUCTURAL MAY ( cn $ {_MAY} )",
    "NAME ( 'orGroup' 'orCompany' ) SUP orThing STRUCTURAL",
    "NAME 'orTeam' SUP orGroup STRUCTURAL",
    f"NAME 'orBare' STRUCTURAL MAY ( cn $ {_MAY} )",
    "NAME 'orMark' SUP top AUXILIARY",
)
CONFIG = (
    *(f"attributetype ( {OR}.1.{n} {text} )" for n, text in enumerate(_TYPES, 1)),
    *(f"objectclass ( {OR}.2.{n} {text} )" for n, text in enumerate(_CLASSES, 1)),
)

ACCESS = """
access to attrs=orSecret,orCovert by * =s
access to attrs=orHidden by * none
access to dn.regex="^[^,]*veil[^,]*,o=" by * none
access to dn.regex="^o=d3[.]example," attrs=entry by * none
access to dn.regex="^[^,]*search[^,]*," attrs=mail,description,objectClass by * =s
access to dn.regex="^[^,]*noclass[^,]*," attrs=objectClass by * none
access to dn.regex="^[^,]*nodrop[^,]*," attrs=maildrop,cn,orStatus by * none
access to * by * read
"""


def ldif(directories: list[Directory]) -> str:
    """The suffix and everything of the directories."""
    out = [f"dn: {BASE}\nobjectClass: organization\nobjectClass: dcObject\no: joins\ndc: joins\n"]
    for directory in directories:
        for name, attributes in directory.entries.items():
            out.append(f"dn:: {_base64(name)}")
            out += [f"{attribute}:: {_base64(value)}" for attribute, values in attributes.items() for value in values]
            out.append("")
    return "\n".join(out)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def slapd(home: Path, directories: list[Directory]) -> Slapd:
    """A slapd with the schema, the access rules and the directories."""
    return Slapd(home, base=BASE, ldif=ldif(directories), config=CONFIG, access=ACCESS)


class Counted(KeyLookup):
    """A lookup that tells how often it had to ask one by one."""

    splits = 0

    def split(self) -> None:
        self.splits += 1
        super().split()


class Comparison:
    """Looks keys up in both ways over one connection. ``counts`` and ``differences`` are for the report."""

    def __init__(self, uri: str, connection: LdapConnection, schema: Schema) -> None:
        self._uri = uri
        self._connection = connection
        self._schema = schema
        self.counts: Counter[str] = Counter()
        self.differences: list[str] = []

    @classmethod
    async def open(cls, server: Slapd) -> Comparison:
        connection = await LdapConnection.open(server.uri, Credentials())
        names = ("attributeTypes", "objectClasses")
        search = Search("cn=Subschema", Scope.BASE, "(objectClass=subschema)", names, base_exists=True)
        [entry] = await connection.search(search, asyncio.get_running_loop().time() + SECONDS)
        return cls(server.uri, connection, Schema(*(entry.values(name) for name in names)))

    def close(self) -> None:
        self._connection.kill()

    async def compare(self, group: Group, key: str, order: list[int]) -> list[Outcome]:
        """The outcome of each table, joined; a difference is noted. ``order``: in which the tables are asked."""
        lookup = Counted(group, key, self._schema)
        outcomes = {place: await self._outcome(lookup, place, "joined") for place in order}
        self.counts["lookups"] += 1
        self.counts["split"] += lookup.splits > 0
        for outcome in outcomes.values():
            self.counts[f"answers {_kind(outcome)}"] += 1
        await self._check(group, key, outcomes)
        for other in lookup.others:
            known = {
                place: settled
                for place in order
                if not isinstance(settled := other.settle(place), Search)
            }  # fmt: skip
            self.counts["members"] += len(known)
            await self._check(group, other.key, {place: _outcome(settled) for place, settled in known.items()})
        return [outcomes[place] for place in sorted(outcomes)]

    async def _check(self, group: Group, key: str, outcomes: dict[int, Outcome]) -> None:
        for place, outcome in outcomes.items():
            alone = KeyLookup(Group([group.tables[place]]), key, None)
            expected = await self._outcome(alone, 0, "one by one")
            self.counts["comparisons"] += 1
            self.counts["answers in another order"] += expected != outcome and _unordered(expected) == _unordered(
                outcome
            )
            if _unordered(expected) != _unordered(outcome):
                queries = "\n    ".join(_told(query) for query in group.tables[place].queries)
                self.differences.append(
                    f"{key!r} in table {place}:\n  one by one {expected}\n  joined {outcome}\n    {queries}"
                )

    async def _outcome(self, lookup: KeyLookup, place: int, way: str) -> Outcome:
        joined = False
        while isinstance(settled := lookup.settle(place), Search):
            joint = lookup.joint
            joined = joined or joint
            try:
                entries = await self._search(settled, way)
            except DirectoryFailure:
                if not joint:
                    return "TEMP"
                lookup.split()
            else:
                lookup.receive(entries)
        self.counts["joined answers"] += joined and way == "joined"
        return _outcome(settled)

    async def _search(self, search: Search, way: str) -> list[Entry]:
        self.counts[f"searches, {way}"] += 1
        if self._connection.dead:  # a malformed base has ended it
            self._connection = await LdapConnection.open(self._uri, Credentials())
        return await self._connection.search(search, asyncio.get_running_loop().time() + SECONDS)


def _outcome(settled: Reply | DataError) -> Outcome:
    return "DataError" if isinstance(settled, DataError) else settled


def _unordered(outcome: Outcome) -> object:
    """What counts of it: in which order a server returns entries is its own affair, and differs by filter."""
    return outcome if isinstance(outcome, str) else outcome._replace(text=b",".join(sorted(outcome.text.split(b","))))


def _kind(outcome: Outcome) -> str:
    if isinstance(outcome, str):
        return outcome
    return "NODATA" if outcome.nodata else outcome.status.value.decode()


def _told(query: Any) -> str:
    result = query.expansion.attributes
    return f"{query.search_base.text!r} {query.scope.value} {query.query_filter.text} -> {result}"


def group_of(base: str, *tables: list[dict[str, Any]], **settings: Any) -> Group:
    """One record of tables, each by its queries as the configuration has them."""
    problems = Problems("joins.toml")
    maps = {f"t{n}": {"record": "all", "query": queries, **settings} for n, queries in enumerate(tables)}
    read = read_maps("", maps, Common(base, "+"), problems)
    assert problems.found == [], problems.found
    [group] = read.groups
    return group


async def run(server: Slapd, directories: list[Directory], comparisons: int, seed: int) -> Comparison:
    """Compare, walking through the directories again and again until there are enough."""
    made = random.Random(seed)
    comparison = await Comparison.open(server)
    try:
        for directory in _walk(directories):
            for _ in range(LOOKUPS_OF_A_DIRECTORY // KEYS_OF_A_GROUP):
                group = group_of(directory.base, *random_tables.tables(made, directory))
                for key in random_tables.keys(made, directory, KEYS_OF_A_GROUP):
                    order = made.sample(range(len(group.tables)), len(group.tables))
                    await comparison.compare(group, key, order)
                if comparison.counts["comparisons"] >= comparisons:
                    return comparison
    finally:
        comparison.close()
    raise AssertionError("never here")


def _walk(directories: list[Directory]) -> Iterator[Directory]:
    while True:
        yield from directories


def report(comparison: Comparison) -> str:
    """The counts, a line each."""
    lines = [f"{name:24}{count:10,}" for name, count in comparison.counts.items()]
    return "\n".join([*lines, f"{'differences':24}{len(comparison.differences):10,}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=5000)
    parser.add_argument("--directories", type=int, default=0, help="by default one for each 200 comparisons")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    made = random.Random(asked.seed)
    number = asked.directories or max(1, asked.comparisons // 200)
    directories = [random_tables.directory(made, f"ou=n{n},{BASE}") for n in range(number)]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="vmaild-joins-") as home,
        slapd(Path(home) / "slapd", directories) as server,
    ):
        comparison = asyncio.run(run(server, directories, asked.comparisons, asked.seed))
    print("\n".join(comparison.differences[:20]))
    print(report(comparison))
    print(f"{'seconds':24}{time.monotonic() - began:10.1f}")
    return 1 if comparison.differences else 0


if __name__ == "__main__":
    sys.exit(main())

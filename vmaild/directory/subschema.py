"""Reading a server's schema (RFC 4512, 4.2 and 4.4).

The entry of the search base names its subschema entry in ``subschemaSubentry``; that entry has the definitions of
attribute types and object classes. They are some thousand values, so they are parsed in a thread.
"""

from __future__ import annotations

import asyncio

from vmaild.directory.connection import LdapConnection
from vmaild.directory.failures import BROKEN, TIMEOUT
from vmaild.errors import DataError, DirectoryFailure
from vmaild.lookup import Scope, Search
from vmaild.tables.schema import Schema

KNOWN = 4
"""Schemas kept for servers that have the same."""

MAX_SCHEMA = 16 * 1024 * 1024
"""Bytes of a schema: slapd's has a tenth of a megabyte, Active Directory's more than one."""

_DEFINITIONS = ("attributeTypes", "objectClasses")


async def read(connection: LdapConnection, base: str, end: float, known: list[Schema]) -> Schema | None:
    """The schema for the entry ``base``, None when the server does not show it.

    Servers with the same definitions share one: what was read before is in ``known``, of which the last few are kept.
    Raises ``DirectoryFailure`` when the connection breaks or ``end`` (loop time) comes first.
    """
    try:
        entries = await connection.search(Search(base, Scope.BASE, "(objectClass=*)", ("subschemaSubentry",)), end)
        names = entries[0].values("subschemaSubentry") if entries else ()
        if not names:
            return None
        search = Search(names[0].decode(), Scope.BASE, "(objectClass=subschema)", _DEFINITIONS)
        usual, connection.max_answer = connection.max_answer, MAX_SCHEMA
        try:
            entries = await connection.search(search, end)
        finally:
            connection.max_answer = usual
    except DirectoryFailure as error:
        if error.kind in (BROKEN, TIMEOUT):
            raise
        return None
    except (UnicodeDecodeError, DataError):
        return None
    if not entries:
        return None
    raw = entries[0].values("attributeTypes"), entries[0].values("objectClasses")
    for schema in known:
        if schema.raw == raw:
            return schema
    schema = await asyncio.to_thread(Schema, *raw)
    known[:] = [schema, *known[: KNOWN - 1]]
    return schema

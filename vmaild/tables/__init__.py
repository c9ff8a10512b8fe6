"""Maps as ldap_table(5) defines them: from a key to searches, from entries to replies. Pure: no I/O, no clock.

In the order of reading:

address, template   a key's forms and parts
query, filter       one query; what its filter matches, by ``schema``
table, plan         maps, those that share a record, and the searches for a key of theirs
key_lookup          one key being looked up
results, guard      what the entries make
dn, quoting         names and values as LDAP writes them
presets             ready-made maps
"""

from vmaild.tables.key_lookup import KeyLookup
from vmaild.tables.schema import Schema
from vmaild.tables.table import Group, Table, TableSettings

__all__ = ["Group", "KeyLookup", "Schema", "Table", "TableSettings"]

"""Maps as ldap_table(5) defines them: from a key to searches, and from entries to a reply. No I/O, no clock.

In the order of reading:

==========  ========================================================================================
table       a map, and the group of maps whose answers for a key make one record
query       one way of a map to find entries for a key
key_lookup  one key looked up for a group: what to ask next, and what the answers make
plan        which searches that takes, and how few: worked out once for all keys of the same shape
filter      filter templates, and quoting a value for one
filter_tree filters as trees
matching    which entries a filter matches, decided by the schema
schema      what the server's schema says of that: classes, names and matching rules
results     from entries to values: which attributes count, what is followed, safe mailbox paths
members     the entries that an entry names, and theirs in turn
template    ``%s`` and its like
address     folding, extensions, and the search keys of an address
keys_of_parameters  those of transport_maps, access tables and local_recipient_maps
dn          distinguished names: quoting a value, and telling whether two are the same
quoting     what filters and DNs quote alike
presets     ready-made maps, with those of ``more_presets``
==========  ========================================================================================
"""

from vmaild.tables.filter import FilterTemplate
from vmaild.tables.key_lookup import KeyLookup, Settled
from vmaild.tables.members import Members
from vmaild.tables.presets import PRESETS
from vmaild.tables.query import Query
from vmaild.tables.results import Expansion
from vmaild.tables.schema import Schema
from vmaild.tables.table import Group, Table, TableSettings
from vmaild.tables.template import Template

__all__ = [
    "PRESETS",
    "Expansion",
    "FilterTemplate",
    "Group",
    "KeyLookup",
    "Members",
    "Query",
    "Schema",
    "Settled",
    "Table",
    "TableSettings",
    "Template",
]

"""The keys of the tables that no settings class describes: what is accepted, its default, and what it means.

These are the lists of accepted keys and the texts of vmaild.toml(5) and vmaild-maps(5) at once (``python -m
vmaild.manual``), so that neither can have a key that the other lacks. A default is written as in the file; empty: the
key is required, or the text says what happens without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Key(NamedTuple):
    """One key: its default as written in the file, and its meaning."""

    default: str
    text: str


Keys = Mapping[str, Key]

FILE: Keys = {
    "mode": Key("", "Mode of a unix socket's file, such as ``\"0660\"``. Without it the daemon's umask decides."),
    "owner": Key("", "Owner of a unix socket's file. Without it the daemon's user."),
    "group": Key("", "Group of a unix socket's file. Without it the daemon's group."),
}
"""What a unix socket's file gets."""

UNIX: Keys = {
    "allow_uid": Key(
        "",
        "Users, by name or number, whose processes may connect to a unix socket; root always may. Without it and"
        " ``allow_gid`` everybody may whom the file's mode lets. With ``PrivateUsers=yes``, as in the unit, systemd"
        " hides their numbers: set it to ``no`` in a drop-in.",
    ),
    "allow_gid": Key("", "The same by the group of the process."),
}
"""Who may connect to a unix socket."""

ENDPOINT: Keys = {
    "address": Key("", "``inet:HOST:PORT``, ``inet:[::1]:PORT`` or ``unix:PATH``, as in Postfix. Required."),
    **FILE,
    **UNIX,
    "allow": Key(
        "",
        'Networks that may connect to an inet address, such as ``["192.0.2.0/24"]``. Required for anything but'
        " loopback. Nobody else may connect then, loopback included.",
    ),
}
"""What ``[[listen]]`` and ``[http]`` have in common."""

LISTEN: Keys = {
    **ENDPOINT,
    "protocol": Key('"socketmap"', "Or ``tcp_table``."),
    "map": Key("", "The map of a tcp_table listener, since that protocol has no map names."),
}
"""``[[listen]]``, one table for each address."""

HTTP: Keys = {
    **ENDPOINT,
    "address": Key("", "As for ``[[listen]]``. Without it there are no pages."),
    "tls_cert_file": Key("", "Certificate chain (PEM): the pages are served over TLS. Relative to vmaild.toml."),
    "tls_key_file": Key("", "Its key (PEM), when it is in a file of its own."),
    "token_file": Key(
        "",
        "File whose first line is a token. Every request must have it, as ``Authorization: Bearer TOKEN`` or as the"
        " password of any user. systemd's credential ``http_token``, when there is one, comes before it.",
    ),
}
"""``[http]``."""

CONTROL: Keys = {
    "address": Key(
        '"unix:/run/vmaild/control.sock"',
        "Socket of the commands that ask the running daemon, mode 0600. Empty: there is none.",
    ),
}
"""``[control]``."""

POSTFIX: Keys = {
    "mydestination": Key(
        "", 'The domains of ``mydestination`` in main.cf, as a list or as there. Maps with ``keys = "local"`` need it.'
    ),
}
"""``[postfix]``."""

MAP: Keys = {
    "keys": Key('"address"', "Which keys are searched for, see below."),
    "propagate_extension": Key("false", "Append the extension to each address of the result, in lower case."),
    "unique": Key("false", "Two entries for one key are a failure: mail is never filed by guess."),
    "quoted_only": Key(
        "false",
        "Search for a localpart that needs quotes with them only, as Postfix does for ``virtual_alias_maps`` and"
        " canonical maps; else with them, then without.",
    ),
    "mailbox_guard": Key(
        "false",
        "A value must be a mailbox inside the domain of the key: relative, ending in ``/``, without ``..``, and"
        " beginning with the domain. Otherwise, or when there is no value or more than one, the lookup fails and the"
        " entry is logged.",
    ),
    "exists": Key(
        "false",
        "For a map whose value nobody reads (domains, recipients): any entry answers the key itself. No attribute is"
        " asked for, and the server sends one entry at most.",
    ),
    "record": Key(
        "",
        "A name. Maps with the same name and the same ``keys`` are answered by the same searches and share a record, so"
        " that they never contradict each other; ``vmaild flush`` forgets it for all of them. Without it the map has"
        " records of its own.",
    ),
    "canary": Key(
        "",
        'Keys that this very map must always find. While one of them is missing, "not found" of this map is answered'
        " TEMP.",
    ),
    "query": Key("", "``[[maps.NAME.query]]``: several queries. The first that finds an entry answers."),
    "cf": Key("", "Table files of Postfix that have the queries, see below."),
}
"""``[maps.NAME]`` beside the keys of its query."""

QUERY: Keys = {
    "search_base": Key("", "As in ldap_table(5). Without it that of ``[directory]``."),
    "scope": Key('"sub"', "As in ldap_table(5): ``sub``, ``base`` or ``one``."),
    "query_filter": Key("", "As in ldap_table(5). Required."),
    "result_attribute": Key(
        '"maildrop"',
        'As in ldap_table(5). An empty list: an entry that is found ends the search with "not found": this map has no'
        " answer for that key.",
    ),
    "special_result_attribute": Key(
        "", "As in ldap_table(5): attributes whose values are DNs or URLs that are followed."
    ),
    "leaf_result_attribute": Key("", "As in ldap_table(5)."),
    "terminal_result_attribute": Key("", "As in ldap_table(5)."),
    "result_format": Key('"%s"', "As in ldap_table(5)."),
    "result_filter": Key("", "The old name of ``result_format``."),
    "size_limit": Key("0", "As in ldap_table(5): most entries of one search; 0 for no limit. More is a failure."),
    "expansion_limit": Key("0", "As in ldap_table(5): most values of one result; 0 for no limit. More is a failure."),
    "recursion_limit": Key("1000", "As in ldap_table(5): how deep members are followed. Deeper is a failure."),
    "domain": Key(
        "", "As in ldap_table(5): only keys of these domains are searched for. ``ldap:FILE`` looks a domain up there."
    ),
    "localpart": Key("", "Only keys with one of these localparts are searched for."),
    "one_value_per_entry": Key("false", "Of several values of an entry only the one in its RDN, else the first."),
    "require_result": Key(
        "false",
        'An entry without a value to return is a failure, not "not found": an access rule may hide the value, and what'
        ' exists is never "not found".',
    ),
    "ignore_referrals": Key(
        "false",
        "Leave out objects that point to other servers; else an answer with such an object is a failure. A result that"
        " is a referral always is one.",
    ),
}
"""A query: in ``[maps.NAME]`` or ``[[maps.NAME.query]]``."""

"""Ready-made maps, as data in the shape of the configuration's ``[maps.NAME]`` tables.

``courier`` is for the tree of the virtual-mail HOWTO: each hosted domain an organization one level under the search
base, below it courierMailAccount and courierMailAlias entries named by ``mail``, and ``cn=postmaster`` with the DNs of
the domain's administrators in roleOccupant. A domain's postmaster may write below that domain, so whatever is asked
about an address is asked inside its own domain's subtree only, and mailbox paths are guarded. An entry that does not
show the attribute its map returns is an error: what exists is never "not found".

The maps of an address share a record: the same search answers all of them, and they never contradict each other. So do
the two maps of ids, which need other attributes.

``vmaild.tables.more_presets`` has those for other trees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vmaild.tables import more_presets

Maps = dict[str, dict[str, Any]]

# mail comes first: a server that walks "and" from the left stops at once where the address does not exist.
_ACCOUNT = "(&(mail=%s)(objectClass=courierMailAccount))"
_ALIAS = "(&(mail=%s)(objectClass=courierMailAlias))"
_ROLE = "(&(objectClass=organizationalRole)(cn=postmaster))"


_NOTHING: dict[str, Any] = {"result_attribute": []}


def courier(search_base: str) -> Maps:
    """The maps of the HOWTO's schema under ``search_base``, the DN above the hosted domains."""
    under = search_base.replace("%", "%%")
    domain = f"o=%d,{under}"
    account = {"search_base": domain, "query_filter": _ACCOUNT, "require_result": True}
    alias = {"search_base": domain, "query_filter": _ALIAS, "require_result": True}
    logins = {**account, "result_attribute": ["mail"]}
    targets = {**alias, "result_attribute": ["maildrop"]}
    role = _postmaster(domain)

    def ids(attribute: str) -> dict[str, Any]:
        queries = [{**account, "result_attribute": [attribute]}, {**alias, **_NOTHING}]
        return {"unique": True, "record": "ids", "query": queries}

    return {
        "virtual_mailbox_domains": _domains(under),
        "virtual_mailbox_maps": {
            "unique": True,
            "mailbox_guard": True,
            "record": "address",
            "query": [{**account, "result_attribute": ["mailbox"]}, {**alias, **_NOTHING}],
        },
        "virtual_alias_maps": {
            "propagate_extension": True,
            "record": "address",
            "query": [targets, {**account, **_NOTHING}, role],
        },
        "smtpd_sender_login_maps": {"record": "address", "query": [logins, targets, role]},
        "virtual_uid_maps": ids("uidNumber"),
        "virtual_gid_maps": ids("gidNumber"),
    }


def _domains(under: str) -> dict[str, Any]:
    return {
        "keys": "domain",
        "search_base": f"o=%s,{under}",
        "scope": "base",
        "query_filter": "(objectClass=organization)",
        "result_attribute": ["o"],
        "result_format": "%S",
        "require_result": True,
    }


def _postmaster(domain: str) -> dict[str, Any]:
    return {
        "search_base": f"cn=postmaster,{domain}",
        "scope": "base",
        "query_filter": _ROLE,
        "localpart": ["postmaster"],
        "result_attribute": ["mail"],
        "special_result_attribute": ["roleOccupant"],
        "one_value_per_entry": True,
        "require_result": True,
    }


PRESETS: Mapping[str, Callable[[str], Maps]] = {
    "courier": courier,
    "qmail-ldap": more_presets.qmail_ldap,
    "inetlocalmailrecipient": more_presets.inetlocalmailrecipient,
    "active-directory": more_presets.active_directory,
    "iredmail": more_presets.iredmail,
}

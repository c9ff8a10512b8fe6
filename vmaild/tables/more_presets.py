"""Ready-made maps for trees that others have designed, as data in the shape of ``[maps.NAME]`` tables.

Each preset searches all below the search base. Maps of an address share a record, and their queries are chosen so that
one search answers them all. An address in a domain's other name is found only where an entry has that very address:
nothing is accepted that would bounce later. ``disabled_accounts`` is for check_recipient_access, before
``reject_unlisted_recipient``.

``qmail-ldap``: qmailUser entries with mail, mailAlternateAddress and mailForwardingAddress, and qmailGroup entries with
the DNs and addresses of their members. deliveryMode is not read: an account that forwards keeps a copy.

``inetlocalmailrecipient``: entries with mailLocalAddress, and mailRoutingAddress or mailHost (misc.schema). That schema
lets nobody ask for a part of an address, so the domains stand in main.cf.

``active-directory``: users, and groups with their members in groups within groups, by mail or proxyAddresses. The
directory points to its other naming contexts in each answer from its root, which is left out. A group with more members
than the server sends at once (1,500 by default) is an error, not a part of it.

``iredmail``: search_base is ``o=domains,...``. Accounts, aliases and lists of active domains' owners, as iRedMail's own
tables have them.
"""

from __future__ import annotations

from typing import Any

Maps = dict[str, dict[str, Any]]

_DISABLED = "550 5.2.1 Account disabled"
_BY_DOMAIN: dict[str, Any] = {"keys": "domain", "exists": True}


def qmail_ldap(search_base: str) -> Maps:
    """Maps for the schema of qmail-ldap."""
    address = "(|(mail=%s)(mailAlternateAddress=%s))"
    account = {"query_filter": f"(&{address}(objectClass=qmailUser))", "require_result": True}
    disabled = f"(&{address}(objectClass=qmailUser)(accountStatus=disabled))"
    group = {
        "query_filter": f"(&{address}(objectClass=qmailGroup))",
        "result_attribute": ["rfc822member"],
        "special_result_attribute": ["dnmember"],
    }
    return {
        "virtual_mailbox_domains": {**_BY_DOMAIN, "query_filter": "(|(mail=*@%s)(mailAlternateAddress=*@%s))"},
        "virtual_mailbox_maps": {
            **account,
            "record": "address",
            "unique": True,
            "result_attribute": ["mailMessageStore"],
        },
        # A group is often a qmailUser too: its members come first.
        "virtual_alias_maps": {
            "record": "address",
            "propagate_extension": True,
            "query": [
                {**group, "leaf_result_attribute": ["mail"]},
                {**account, "result_attribute": ["mail", "mailForwardingAddress"]},
            ],
        },
        "smtpd_sender_login_maps": {
            "record": "address",
            "query": [
                {**group, "leaf_result_attribute": ["uid", "mail"]},
                {**account, "result_attribute": ["uid", "mail"]},
            ],
        },
        "disabled_accounts": {"query_filter": disabled, "result_attribute": ["mail"], "result_format": _DISABLED},
    }


def inetlocalmailrecipient(search_base: str) -> Maps:
    """Maps for inetLocalMailRecipient, of OpenLDAP's misc.schema."""
    recipient = {"query_filter": "(&(mailLocalAddress=%s)(objectClass=inetLocalMailRecipient))"}
    host = {**recipient, "keys": "address", "result_attribute": ["mailHost"], "result_format": "smtp:[%s]"}
    return {
        "relay_recipient_maps": {**recipient, "record": "address", "result_attribute": ["mailLocalAddress"]},
        "virtual_alias_maps": {
            **recipient,
            "record": "address",
            "propagate_extension": True,
            "result_attribute": ["mailRoutingAddress"],
        },
        "transport_maps": {**host, "record": "address"},
        # The delegates of a shared address are the members of its groupOfNames.
        "smtpd_sender_login_maps": {
            **recipient,
            "record": "address",
            "result_attribute": ["uid"],
            "special_result_attribute": ["member"],
        },
    }


def active_directory(search_base: str) -> Maps:
    """Maps for Active Directory with the attributes of Exchange."""
    address = "(|(mail=%s)(proxyAddresses=smtp:%s))"
    user = {"query_filter": f"(&{address}(objectClass=user))", "ignore_referrals": True}
    group = {"query_filter": f"(&{address}(objectClass=group))", "ignore_referrals": True}
    members = {"result_attribute": [], "special_result_attribute": ["member"]}
    # Bit 2 of userAccountControl, by the bitwise "and" of MS-ADTS, 3.1.1.3.4.4.1.
    disabled = f"(&{address}(objectClass=user)(userAccountControl:1.2.840.113556.1.4.803:=2))"
    return {
        "virtual_mailbox_domains": {
            **_BY_DOMAIN,
            "query_filter": "(|(mail=*@%s)(proxyAddresses=smtp:*@%s))",
            "ignore_referrals": True,
        },
        "virtual_mailbox_maps": {
            "record": "address",
            "query": [{**user, "result_attribute": ["mail"]}, {**group, "result_attribute": ["mail"]}],
        },
        "virtual_alias_maps": {
            "record": "address",
            "propagate_extension": True,
            "query": [
                {**user, "result_attribute": ["mail"]},
                {**group, **members, "leaf_result_attribute": ["mail"], "require_result": True},
            ],
        },
        "smtpd_sender_login_maps": {
            "record": "address",
            "query": [
                {**user, "result_attribute": ["userPrincipalName"], "special_result_attribute": ["publicDelegates"]},
                {**group, **members, "leaf_result_attribute": ["userPrincipalName"]},
            ],
        },
        "disabled_accounts": {
            "query_filter": disabled,
            "ignore_referrals": True,
            "result_attribute": ["mail"],
            "result_format": _DISABLED,
        },
    }


def iredmail(search_base: str) -> Maps:
    """Maps for iRedMail's tree; ``search_base`` is ``o=domains,...``."""
    active = "(accountStatus=active)(enabledService=mail)"
    address = "(|(mail=%s)(shadowAddress=%s))"
    account = {"query_filter": f"(&{address}(objectClass=mailUser){active})"}
    alias = {"query_filter": f"(&{address}(objectClass=mailAlias){active})"}
    members = {"query_filter": f"(&(memberOfGroup=%s)(objectClass=mailUser){active})"}
    domain = "(|(domainName=%s)(domainAliasName=%s))"
    disabled = f"(&{address}(objectClass=mailUser)(accountStatus=disabled))"
    return {
        "virtual_mailbox_domains": {**_BY_DOMAIN, "query_filter": f"(&{domain}(objectClass=mailDomain){active})"},
        "virtual_mailbox_maps": {
            **account,
            "record": "address",
            "unique": True,
            "result_attribute": ["mailMessageStore"],
        },
        "virtual_alias_maps": {
            "record": "address",
            "propagate_extension": True,
            "query": [
                {**account, "result_attribute": ["mailForwardingAddress"]},
                {**alias, "result_attribute": ["mailForwardingAddress"]},
                {**members, "result_attribute": ["mail"]},
                # An account that forwards nowhere: no catch-all takes its mail, and an alias leads to it.
                {**account, "result_attribute": ["mail"]},
            ],
        },
        "smtpd_sender_login_maps": {
            "record": "address",
            "query": [
                {**account, "result_attribute": ["mail"]},
                {**members, "result_attribute": ["mail"]},
                {**alias, "result_attribute": ["mailForwardingAddress"]},
            ],
        },
        "disabled_accounts": {"query_filter": disabled, "result_attribute": ["mail"], "result_format": _DISABLED},
    }

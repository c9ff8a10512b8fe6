"""Postfix with LDAP as well-known mail systems set it up: their settings, and small trees of ours to ask.

What a table asks and returns is the system's; server, bind and search base are those of the tests. ``@DIR@`` stands for
Postfix's directory, ``@URI@`` for the server, ``@BASE@`` for the system's own subtree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SUFFIX = "dc=example"

_IREDMAIL_USER = "(&(objectClass=mailUser)(accountStatus=active)(!(domainStatus=disabled))(enabledService=mail)"


@dataclass(frozen=True)
class System:
    """One system: main.cf's lines, its table files by name without ``.cf``, its entries, and keys to ask."""

    main: str
    tables: dict[str, str]
    entries: list[tuple[str, str, dict[str, str | list[str]]]]
    """(RDN below the system's subtree, its classes, its attributes)."""
    keys: list[str]
    server: str = "server_host = @URI@\nversion = 3\nbind = no\n"
    stays: tuple[str, ...] = field(default=())
    """Tables that are not imported, and a word of why."""


SYSTEMS: dict[str, System] = {}

SYSTEMS["iredmail"] = System(
    main="""\
virtual_mailbox_domains = proxy:ldap:@DIR@/virtual_mailbox_domains.cf
virtual_mailbox_maps = proxy:ldap:@DIR@/virtual_mailbox_maps.cf
virtual_alias_maps =
    proxy:ldap:@DIR@/virtual_group_maps.cf
    proxy:ldap:@DIR@/virtual_group_members_maps.cf
smtpd_sender_login_maps = proxy:ldap:@DIR@/sender_login_maps.cf
virtual_alias_domains =
virtual_transport = dovecot
recipient_delimiter = +
""",
    tables={
        "virtual_mailbox_domains": "search_base = @BASE@\nscope = one\n"
        "query_filter = (&(objectClass=mailDomain)(domainName=%s)(!(domainBackupMX=yes))(accountStatus=active)"
        "(enabledService=mail))\nresult_attribute = domainName\ndebuglevel = 0\n",
        "virtual_mailbox_maps": f"search_base = @BASE@\nscope = sub\nquery_filter = {_IREDMAIL_USER}"
        "(enabledService=deliver)(|(mail=%s)(shadowAddress=%s)))\nresult_attribute= homeDirectory\n"
        "result_format   = %s/Maildir/\n",
        "virtual_group_maps": "search_base = @BASE@\nscope = sub\nquery_filter = (&(accountStatus=active)"
        "(!(domainStatus=disabled))(enabledService=mail)(enabledService=deliver)(|(&(|(memberOfGroup=%s)"
        "(shadowAddress=%s))(|(objectClass=mailUser)(objectClass=mailExternalUser)))(&(memberOfGroup=%s)"
        "(!(shadowAddress=%s))(|(objectClass=mailAlias)(objectClass=mailList)))(&(objectClass=mailList)"
        "(enabledService=mlmmj)(|(mail=%s)(shadowAddress=%s)))))\nresult_attribute= mail\n",
        "virtual_group_members_maps": f"search_base = @BASE@\nscope = sub\nquery_filter = {_IREDMAIL_USER}"
        "(enabledService=deliver)(|(mail=%s)(shadowAddress=%s)))\nresult_attribute= mail\n",
        "sender_login_maps": f"search_base = @BASE@\nscope = sub\nquery_filter = {_IREDMAIL_USER}"
        "(enabledService=smtp)(|(mail=%s)(shadowAddress=%s)))\nresult_attribute= mail\n",
    },
    entries=[
        (
            "domainName=a.example",
            "mailDomain",
            {"accountStatus": "active", "enabledService": "mail", "domainBackupMX": "no"},
        ),
        ("ou=users,domainName=a.example", "", {}),
        *(
            (
                f"mail={name}@a.example,ou=users,domainName=a.example",
                "mailUser",
                {
                    "accountStatus": status,
                    "enabledService": ["mail", "deliver", "smtp"],
                    "homeDirectory": f"/var/vmail/a.example/{name}",
                    "shadowAddress": [f"{name}.alias@a.example", f"{name}@alias.example"],
                    "memberOfGroup": ["staff@a.example"],
                },
            )
            for name, status in (("ann", "active"), ("bob", "active"), ("eve", "disabled"))
        ),
        (
            "mail=staff@a.example,ou=users,domainName=a.example",
            "mailList",
            {"accountStatus": "active", "enabledService": ["mail", "deliver"]},
        ),
    ],
    keys=["a.example", "b.example", "ann@a.example", "ann.alias@a.example", "bob@alias.example", "eve@a.example",
          "staff@a.example", "ANN@A.EXAMPLE", "nobody@a.example"],
)  # fmt: skip

_DMS = "search_base = @BASE@\n"
SYSTEMS["docker-mailserver"] = System(
    main="""\
virtual_mailbox_domains = @DIR@/vhost, ldap:@DIR@/ldap-domains.cf
virtual_mailbox_maps = ldap:@DIR@/ldap-users.cf
virtual_alias_maps = ldap:@DIR@/ldap-aliases.cf, ldap:@DIR@/ldap-groups.cf
smtpd_sender_login_maps = ldap:@DIR@/ldap-senders.cf
virtual_transport = lmtp:unix:/var/run/dovecot/lmtp
virtual_alias_domains =
""",
    tables={
        "ldap-users": _DMS + "query_filter = (&(mail=%s)(mailEnabled=TRUE))\nresult_attribute = mail\n",
        "ldap-aliases": _DMS + "query_filter = (&(mailAlias=%s)(mailEnabled=TRUE))\nresult_attribute = mail\n",
        "ldap-groups": _DMS + "query_filter = (&(mailGroupMember=%s)(mailEnabled=TRUE))\nresult_attribute = mail\n",
        "ldap-domains": _DMS
        + "query_filter = (&(|(mail=*@%s)(mailAlias=*@%s))(mailEnabled=TRUE))\nresult_attribute = mail\n",
        "ldap-senders": _DMS + "query_filter = (mail=%s)\nresult_attribute = mail, uid\n",
    },
    entries=[
        (
            f"uid={name}",
            "",
            {
                "mail": f"{name}@b.example",
                "mailEnabled": "TRUE",
                "mailAlias": [f"{name}@alias.example"],
                "mailGroupMember": "all@b.example",
            },
        )
        for name in ("ann", "bob", "eve")
    ],
    keys=["b.example", "alias.example", "ann@b.example", "bob@alias.example", "all@b.example", "nobody@b.example"],
)

_KOLAB = "search_base = @BASE@\nscope = sub\n"
_KOLAB_DOMAIN = "domain = ldap:@DIR@/mydestination.cf\n"
SYSTEMS["kolab"] = System(
    main="""\
mydestination = ldap:@DIR@/mydestination.cf
local_recipient_maps = ldap:@DIR@/local_recipient_maps.cf
transport_maps = ldap:@DIR@/transport_maps.cf, hash:@DIR@/transport
virtual_alias_maps = $alias_maps, ldap:@DIR@/virtual_alias_maps.cf, ldap:@DIR@/mailenabled_distgroups.cf,
    ldap:@DIR@/mailenabled_dynamic_distgroups.cf
recipient_delimiter = +
""",
    tables={
        "mydestination": _KOLAB + "query_filter = (&(associatedDomain=%s))\nresult_attribute = associatedDomain\n",
        "local_recipient_maps": _KOLAB
        + _KOLAB_DOMAIN
        + "query_filter = (&(|(mail=%s)(alias=%s))(|(objectclass=kolabinetorgperson)))\nresult_attribute = mail\n",
        "transport_maps": _KOLAB
        + _KOLAB_DOMAIN
        + "query_filter = (&(|(mailAlternateAddress=%s)(alias=%s)(mail=%s))(objectclass=kolabinetorgperson))\n"
        "result_attribute = mail\nresult_format = lmtp:unix:/var/lib/imap/socket/lmtp\n",
        "virtual_alias_maps": _KOLAB
        + _KOLAB_DOMAIN
        + "query_filter = (&(|(mail=%s)(alias=%s))(objectclass=kolabinetorgperson))\nresult_attribute = mail\n",
        "mailenabled_distgroups": _KOLAB
        + _KOLAB_DOMAIN
        + "query_filter = (&(|(mail=%s)(alias=%s))(objectClass=kolabgroupofuniquenames)"
        "(objectclass=groupofuniquenames)(!(objectclass=groupofurls)))\n"
        "special_result_attribute = uniqueMember\nresult_attribute =\nleaf_result_attribute = mail\n",
        "mailenabled_dynamic_distgroups": _KOLAB
        + _KOLAB_DOMAIN
        + "query_filter = (&(|(mail=%s)(alias=%s))(objectClass=kolabgroupofuniquenames)(objectClass=groupOfURLs))\n"
        "special_result_attribute = memberURL\nresult_attribute =\nleaf_result_attribute = mail\n",
    },
    entries=[
        ("associatedDomain=k.example", "", {}),
        ("uid=ann", "kolabInetOrgPerson", {"mail": "ann@k.example", "alias": ["a@k.example"]}),
        ("uid=bob", "kolabInetOrgPerson", {"mail": "bob@k.example", "alias": ["b@k.example"]}),
        (
            "cn=staff",
            "kolabGroupOfUniqueNames groupOfUniqueNames",
            {"mail": "staff@k.example", "uniqueMember": ["uid=ann,@BASE@", "uid=bob,@BASE@", "uid=gone,@BASE@"]},
        ),
        (
            "cn=everyone",
            "kolabGroupOfUniqueNames groupOfURLs",
            {"mail": "all@k.example", "memberURL": "ldap:///@BASE@??sub?(objectClass=kolabInetOrgPerson)"},
        ),
    ],
    keys=["k.example", "ann@k.example", "b@k.example", "staff@k.example", "all@k.example", "ann@other.example", "ann"],
)

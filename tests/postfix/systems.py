"""Postfix with LDAP as well-known mail systems set it up: their settings, and small trees of ours to ask.

What a table asks and returns is the system's; server, bind and search base are those of the tests. ``@DIR@`` stands for
Postfix's directory, ``@URI@`` for the server, ``@BASE@`` for the system's own subtree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SUFFIX = "dc=example"


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
    warned: str = ""
    """What the import warns of, among others."""


SYSTEMS: dict[str, System] = {}

_USERS = "search_base = ou=users,domainName=%d,@BASE@\nscope = one\n"
_DOMAINS = "search_base = @BASE@\nscope = one\n"
_TREE = "search_base = @BASE@\nscope = sub\n"
_HERE = "(|(mail=%s)(shadowAddress=%s))"
_ACTIVE = "(accountStatus=active)(enabledService=mail)"
_NOT_OFF = "(accountStatus=active)(!(domainStatus=disabled))(enabledService=mail)"
_OF_DOMAIN = "(|(domainName=%d)(domainAliasName=%d))"
_BY_NAME = "(|(domainName=%s)(&(enabledService=domainalias)(domainAliasName=%s)))"
SYSTEMS["iredmail"] = System(
    main="""\
transport_maps = proxy:ldap:@DIR@/transport_maps_user.cf proxy:ldap:@DIR@/transport_maps_domain.cf
sender_dependent_relayhost_maps = proxy:ldap:@DIR@/sender_dependent_relayhost_maps_user.cf
    proxy:ldap:@DIR@/sender_dependent_relayhost_maps_domain.cf
virtual_mailbox_domains = proxy:ldap:@DIR@/virtual_mailbox_domains.cf
relay_domains = $mydestination proxy:ldap:@DIR@/relay_domains.cf
virtual_mailbox_maps = proxy:ldap:@DIR@/virtual_mailbox_maps.cf
virtual_alias_maps =
    proxy:ldap:@DIR@/virtual_alias_maps.cf
    proxy:ldap:@DIR@/virtual_group_maps.cf
    proxy:ldap:@DIR@/virtual_group_members_maps.cf
    proxy:ldap:@DIR@/catchall_maps.cf
sender_bcc_maps = proxy:ldap:@DIR@/sender_bcc_maps_user.cf proxy:ldap:@DIR@/sender_bcc_maps_domain.cf
recipient_bcc_maps = proxy:ldap:@DIR@/recipient_bcc_maps_user.cf proxy:ldap:@DIR@/recipient_bcc_maps_domain.cf
smtpd_sender_login_maps = proxy:ldap:@DIR@/sender_login_maps.cf
virtual_alias_domains =
virtual_transport = dovecot
recipient_delimiter = +
""",
    tables={
        "transport_maps_user": "search_base = domainName=%d,@BASE@\nscope = sub\n"
        "query_filter = (&(|(objectClass=mailUser)(&(objectClass=mailList)(enabledService=mlmmj)))"
        f"{_HERE}{_NOT_OFF})\nresult_attribute= mtaTransport\n",
        "transport_maps_domain": f"{_DOMAINS}query_filter = (&(objectClass=mailDomain){_ACTIVE}"
        "(|(domainName=%s)(domainAliasName=%s)))\nresult_attribute= mtaTransport\n",
        "sender_dependent_relayhost_maps_user": f"{_USERS}query_filter = (&(objectClass=mailUser)(mail=%s){_NOT_OFF})\n"
        "result_attribute= senderRelayHost\n",
        "sender_dependent_relayhost_maps_domain": f"{_DOMAINS}query_filter = (&(objectClass=mailDomain){_ACTIVE}"
        f"{_OF_DOMAIN})\nresult_attribute= senderRelayHost\n",
        "virtual_mailbox_domains": f"{_DOMAINS}query_filter = (&(objectClass=mailDomain){_BY_NAME}"
        f"(!(domainBackupMX=yes)){_ACTIVE})\nresult_attribute = domainName\ndebuglevel = 0\n",
        "relay_domains": f"{_DOMAINS}query_filter = (&(objectClass=mailDomain){_BY_NAME}(domainBackupMX=yes)"
        f"{_ACTIVE})\nresult_attribute= domainName\n",
        "virtual_mailbox_maps": f"{_TREE}query_filter = (&(objectClass=mailUser){_HERE}{_NOT_OFF}"
        "(enabledService=deliver))\nresult_attribute= homeDirectory\nresult_format   = %s/Maildir/\n",
        "virtual_alias_maps": f"{_TREE}query_filter = (&{_HERE}{_NOT_OFF}(enabledService=deliver)"
        "(|(objectClass=mailAlias)(&(objectClass=mailUser)(enabledService=forward))))\n"
        "result_attribute= mailForwardingAddress\n",
        "virtual_group_maps": f"{_TREE}query_filter = (&{_NOT_OFF}(enabledService=deliver)(|(&(|(memberOfGroup=%s)"
        "(shadowAddress=%s))(|(objectClass=mailUser)(objectClass=mailExternalUser)))(&(memberOfGroup=%s)"
        "(!(shadowAddress=%s))(|(objectClass=mailAlias)(objectClass=mailList)))(&(objectClass=mailList)"
        f"(enabledService=mlmmj){_HERE})))\nresult_attribute= mail\n",
        "virtual_group_members_maps": f"{_TREE}query_filter = (&(objectClass=mailUser){_NOT_OFF}"
        f"(enabledService=deliver){_HERE})\nresult_attribute= mail\n",
        "catchall_maps": f"{_TREE}query_filter = (&(objectClass=mailUser)(accountStatus=active)"
        f"(!(domainStatus=disabled)){_HERE})\nresult_attribute= mailForwardingAddress\n",
        "sender_bcc_maps_user": f"{_USERS}query_filter = (&{_HERE}(objectClass=mailUser){_NOT_OFF}"
        "(enabledService=senderbcc))\nresult_attribute= userSenderBccAddress\n",
        "sender_bcc_maps_domain": f"{_DOMAINS}query_filter = (&(objectClass=mailDomain){_OF_DOMAIN}{_ACTIVE}"
        "(enabledService=senderbcc))\nresult_attribute= domainSenderBccAddress\n",
        "recipient_bcc_maps_user": f"{_USERS}query_filter = (&{_HERE}(objectClass=mailUser){_NOT_OFF}"
        "(enabledService=recipientbcc))\nresult_attribute= userRecipientBccAddress\n",
        "recipient_bcc_maps_domain": f"{_DOMAINS}query_filter = (&(objectClass=mailDomain){_OF_DOMAIN}{_ACTIVE}"
        "(enabledService=recipientbcc))\nresult_attribute= domainRecipientBccAddress\n",
        "sender_login_maps": f"{_TREE}query_filter = (&(objectClass=mailUser){_NOT_OFF}(enabledService=smtp){_HERE})\n"
        "result_attribute= mail\n",
    },
    entries=[
        (
            "domainName=a.example",
            "mailDomain",
            {
                "accountStatus": "active",
                "enabledService": ["mail", "domainalias", "senderbcc", "recipientbcc"],
                "domainBackupMX": "no",
                "domainAliasName": "alias.example",
                "mtaTransport": "dovecot",
                "senderRelayHost": "[relay.a.example]",
                "domainSenderBccAddress": "sent@a.example",
                "domainRecipientBccAddress": "got@a.example",
            },
        ),
        (
            "domainName=backup.example",
            "mailDomain",
            {"accountStatus": "active", "enabledService": "mail", "domainBackupMX": "yes"},
        ),
        ("ou=users,domainName=a.example", "", {}),
        *(
            (
                f"mail={name}@a.example,ou=users,domainName=a.example",
                "mailUser",
                {
                    "accountStatus": status,
                    "enabledService": ["mail", "deliver", "smtp", "forward", "senderbcc", "recipientbcc"],
                    "homeDirectory": f"/var/vmail/a.example/{name}",
                    "shadowAddress": [f"{name}.alias@a.example", f"{name}@alias.example"],
                    "memberOfGroup": ["staff@a.example"],
                    "mtaTransport": f"lmtp:[{name}.a.example]",
                    "senderRelayHost": f"[{name}.relay.example]",
                    "userSenderBccAddress": f"{name}.sent@a.example",
                    "userRecipientBccAddress": f"{name}.got@a.example",
                    **more,
                },
            )
            for name, status, more in (
                ("ann", "active", {"mailForwardingAddress": ["ann@a.example", "ann@far.example"]}),
                ("bob", "active", {}),
                ("eve", "disabled", {}),
            )
        ),
        (
            "mail=staff@a.example,ou=users,domainName=a.example",
            "mailList",
            {"accountStatus": "active", "enabledService": ["mail", "deliver"]},
        ),
        (
            "mail=info@a.example,ou=users,domainName=a.example",
            "mailAlias",
            {
                "accountStatus": "active",
                "enabledService": ["mail", "deliver"],
                "mailForwardingAddress": ["ann@a.example", "x@far.example"],
            },
        ),
        (
            "mail=@a.example,ou=users,domainName=a.example",
            "mailUser",
            {"accountStatus": "active", "mailForwardingAddress": "all@far.example"},
        ),
    ],
    keys=["a.example", "b.example", "alias.example", "backup.example", "sub.backup.example", "ann@a.example",
          "ann.alias@a.example", "bob@alias.example", "bob@a.example", "eve@a.example", "staff@a.example",
          "info@a.example", "ANN@A.EXAMPLE", "nobody@a.example", "@a.example", "x@backup.example"],
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
    warned="ldap-domains.cf finds every address of the domain, where one is enough: 'exists = true'",
)

_KOLAB = "search_base = @BASE@\nscope = sub\n"
_KOLAB_DOMAIN = "domain = ldap:@DIR@/mydestination.cf\n"
SYSTEMS["kolab"] = System(
    main="""\
mydestination = ldap:@DIR@/mydestination.cf
local_recipient_maps = ldap:@DIR@/local_recipient_maps.cf
transport_maps = ldap:@DIR@/transport_maps.cf, hash:@DIR@/transport
virtual_alias_maps = $alias_maps, ldap:@DIR@/virtual_alias_maps.cf,
    ldap:@DIR@/virtual_alias_maps_mailforwarding.cf, ldap:@DIR@/virtual_alias_maps_sharedfolders.cf,
    ldap:@DIR@/mailenabled_distgroups.cf, ldap:@DIR@/mailenabled_dynamic_distgroups.cf
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
        "virtual_alias_maps_mailforwarding": _KOLAB
        + _KOLAB_DOMAIN
        + "query_filter = (&(|(mail=%s)(alias=%s))(objectclass=mailrecipient)(objectclass=inetorgperson)"
        "(mailforwardingaddress=*))\nresult_attribute = mailForwardingAddress\n",
        "virtual_alias_maps_sharedfolders": _KOLAB
        + _KOLAB_DOMAIN
        + "query_filter = (&(|(mail=%s)(alias=%s))(objectclass=kolabsharedfolder))\n"
        "result_attribute = kolabtargetfolder\nresult_format = shared+%s\n",
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
        (
            "uid=bob",
            "kolabInetOrgPerson mailRecipient inetOrgPerson",
            {"mail": "bob@k.example", "alias": ["b@k.example"], "mailForwardingAddress": "bob@far.example"},
        ),
        (
            "cn=folder",
            "kolabSharedFolder",
            {"mail": "folder@k.example", "kolabTargetFolder": "shared/Folder@k.example"},
        ),
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
    keys=[
        "k.example",
        "ann@k.example",
        "b@k.example",
        "staff@k.example",
        "all@k.example",
        "ann@other.example",
        "ann",
        "folder@k.example",
        "bob@k.example",
    ],
)

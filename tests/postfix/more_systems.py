"""The rest of ``systems``: Univention, Zimbra, DebOps, YunoHost and Zentyal."""

from __future__ import annotations

from tests.postfix.systems import SYSTEMS, System

_UCS_BOTH = "(|(mailAlternativeAddress=%s)(mailPrimaryAddress=%s))"
_UCS_REWRITTEN = "(univentionCanonicalRecipientRewriteEnabled=1)"
_UCS_HERE = "(univentionMailHomeServer=mail.u.example)"
_UCS = "search_base = @BASE@\nscope = sub\n"
SYSTEMS["univention"] = System(
    main="""\
virtual_alias_maps = hash:@DIR@/virtual, ldap:@DIR@/ldap.groups, ldap:@DIR@/ldap.distlist, ldap:@DIR@/ldap.virtual,
    ldap:@DIR@/ldap.external_aliases, ldap:@DIR@/ldap.sharedfolderlocal_aliases, ldap:@DIR@/ldap.sharedfolderremote,
    ldap:@DIR@/ldap.virtualwithcanonical
sender_canonical_maps = hash:@DIR@/canonical_sender, ldap:@DIR@/ldap.canonicalsender
recipient_canonical_maps = ldap:@DIR@/ldap.canonicalrecipient
transport_maps = hash:@DIR@/transport, ldap:@DIR@/ldap.transport
smtpd_sender_login_maps = ldap:@DIR@/ldap.saslusermapping
virtual_mailbox_domains = ldap:@DIR@/ldap.virtualdomains
virtual_mailbox_maps = ldap:@DIR@/ldap.virtual_mailbox
virtual_transport = lmtp:127.0.0.1:2003
""",
    tables={
        "ldap.groups": _UCS + "query_filter = (&(mailPrimaryAddress=%s)(objectclass=posixGroup))\n"
        "result_attribute = mailPrimaryAddress\nleaf_result_attribute = mailPrimaryAddress\n"
        "special_result_attribute = uniqueMember\ndebuglevel = 0\n",
        "ldap.distlist": _UCS + "query_filter = (&(objectClass=univentionMailList)(mailPrimaryAddress=%s))\n"
        "result_attribute = univentionMailListMember\nsearch_timeout = 30\n",
        "ldap.virtual": _UCS + "query_filter = (&(objectClass=univentionMail)(mailAlternativeAddress=%s)"
        "(!(univentionCanonicalRecipientRewriteEnabled=1)))\nresult_attribute = mailPrimaryAddress\n"
        "result_format = %s\n",
        "ldap.external_aliases": _UCS + f"query_filter = (&(objectClass=univentionMail){_UCS_BOTH}"
        f"(!{_UCS_REWRITTEN}))\nresult_attribute = mailForwardAddress\nresult_format = %s\n",
        "ldap.virtualwithcanonical": _UCS + f"query_filter = (&(objectClass=univentionMail){_UCS_BOTH}"
        f"{_UCS_REWRITTEN})\nresult_attribute = univentionInternalPrimaryMailAddress\nresult_format = %s\n",
        "ldap.saslusermapping": _UCS + f"query_filter = (&(objectClass=univentionMail){_UCS_BOTH})\n"
        "result_attribute = mailPrimaryAddress\nresult_format = %s\n",
        "ldap.sharedfolderlocal_aliases": _UCS + "query_filter = (&(objectClass=univentionMailSharedFolder)"
        f"(mailAlternativeAddress=%s){_UCS_HERE})\nresult_attribute = mailPrimaryAddress\nresult_format = %s\n",
        "ldap.sharedfolderremote": _UCS + f"query_filter = (&(objectClass=univentionMailSharedFolder){_UCS_BOTH}"
        f"(!{_UCS_HERE}))\nresult_attribute = mailPrimaryAddress\nresult_format = %s\n",
        "ldap.transport": _UCS + f"query_filter = (&(mailPrimaryAddress=%s)(univentionMailHomeServer=*)"
        f"(!{_UCS_HERE}))\nresult_attribute = univentionMailHomeServer\nresult_format = smtp:[%s]\n",
        "ldap.canonicalsender": _UCS + "query_filter = (&(univentionCanonicalSenderRewriteEnabled=1)"
        "(|(univentionInternalPrimaryMailAddress=%s)(univentionInternalAlternativeMailAddress=%s)))\n"
        "result_attribute = univentionPublicPrimaryMailAddress\n",
        "ldap.canonicalrecipient": _UCS + f"query_filter = (&{_UCS_REWRITTEN}(|(univentionPublicPrimaryMailAddress=%s)"
        "(univentionPublicAlternativeMailAddress=%s)))\nresult_attribute = univentionInternalPrimaryMailAddress\n",
        "ldap.virtualdomains": _UCS + "query_filter = (&(objectClass=univentionMailDomainname)(cn=%s))\n"
        "result_attribute = cn\nresult_format = %s\nsearch_timeout = 30\n",
        "ldap.virtual_mailbox": _UCS + "query_filter = (&(objectClass=univentionMail)(mailPrimaryAddress=%s)"
        "(!(univentionCanonicalRecipientRewriteEnabled=1)))\nresult_attribute = mailPrimaryAddress\ntimeout = 30\n",
    },
    entries=[
        ("cn=u.example", "univentionMailDomainname", {}),
        *(
            (
                f"uid={name}",
                "univentionMail",
                {"mailPrimaryAddress": f"{name}@u.example", "mailAlternativeAddress": [f"{name}.x@u.example"]},
            )
            for name in ("ann", "bob")
        ),
        (
            "uid=eve",
            "univentionMail",
            {
                "mailPrimaryAddress": "eve@u.example",
                "mailForwardAddress": "eve@far.example",
                "univentionMailHomeServer": "other.u.example",
            },
        ),
        (
            "uid=kim",
            "univentionMail",
            {
                "mailPrimaryAddress": "kim@u.example",
                "univentionCanonicalRecipientRewriteEnabled": "1",
                "univentionCanonicalSenderRewriteEnabled": "1",
                "univentionInternalPrimaryMailAddress": "kim@inner.example",
                "univentionPublicPrimaryMailAddress": "kim.public@u.example",
                "univentionMailHomeServer": "mail.u.example",
            },
        ),
        *(
            (
                f"cn={name}",
                "univentionMailSharedFolder",
                {
                    "mailPrimaryAddress": f"{name}@u.example",
                    "mailAlternativeAddress": f"{name}.x@u.example",
                    "univentionMailHomeServer": server,
                },
            )
            for name, server in (("here", "mail.u.example"), ("there", "other.u.example"))
        ),
        (
            "cn=staff",
            "posixGroup",
            {"mailPrimaryAddress": "staff@u.example", "uniqueMember": ["uid=ann,@BASE@", "uid=bob,@BASE@"]},
        ),
        (
            "cn=list",
            "univentionMailList",
            {"mailPrimaryAddress": "list@u.example", "univentionMailListMember": ["ann@u.example", "x@far.example"]},
        ),
    ],
    keys=["u.example", "ann@u.example", "bob.x@u.example", "staff@u.example", "list@u.example", "nobody@u.example",
          "eve@u.example", "kim@u.example", "kim@inner.example", "kim.public@u.example", "here.x@u.example",
          "there@u.example", "there.x@u.example"],
)  # fmt: skip

_ZIMBRA = "search_base =\ntimeout = 30\n"
_ON = "(zimbraMailStatus=enabled))\n"
_ADDRESSES = "(|(zimbraMailDeliveryAddress=%s)(zimbraMailAlias=%s)(zimbraMailCatchAllAddress=%s))"
SYSTEMS["zimbra"] = System(
    main="""\
virtual_mailbox_domains = proxy:ldap:@DIR@/ldap-vmd.cf
virtual_mailbox_maps = proxy:ldap:@DIR@/ldap-vmm.cf
virtual_alias_maps = proxy:ldap:@DIR@/ldap-vam.cf
virtual_alias_domains = proxy:ldap:@DIR@/ldap-vad.cf
transport_maps = proxy:ldap:@DIR@/ldap-transport.cf
smtpd_sender_login_maps = proxy:ldap:@DIR@/ldap-slm.cf
sender_canonical_maps = proxy:ldap:@DIR@/ldap-canonical.cf
virtual_transport = error
""",
    tables={
        "ldap-vmm": _ZIMBRA + f"query_filter = (&(zimbraMailDeliveryAddress=%s){_ON}"
        "result_attribute = zimbraMailDeliveryAddress\n",
        "ldap-vmd": _ZIMBRA + f"query_filter = (&(zimbraDomainName=%s)(zimbraDomainType=local){_ON}"
        "result_attribute = zimbraDomainName\n",
        "ldap-vad": _ZIMBRA + f"query_filter = (&(zimbraDomainName=%s)(zimbraDomainType=alias){_ON}"
        "result_attribute = zimbraDomainName\n",
        "ldap-vam": _ZIMBRA + f"query_filter = (&{_ADDRESSES}{_ON}"
        "result_attribute = zimbraMailDeliveryAddress,zimbraMailForwardingAddress,zimbraPrefMailForwardingAddress,"
        "zimbraMailCatchAllForwardingAddress\nspecial_result_attribute = member\n",
        "ldap-canonical": _ZIMBRA + f"query_filter = (&{_ADDRESSES}{_ON}"
        "result_attribute = zimbraMailCanonicalAddress,zimbraMailCatchAllCanonicalAddress\n",
        "ldap-transport": _ZIMBRA + "query_filter = (&(|(zimbraMailDeliveryAddress=%s)(zimbraDomainName=%s))"
        f"{_ON}result_attribute = zimbraMailTransport\n",
        "ldap-slm": _ZIMBRA + f"query_filter = (&(|(uid=%s)(zimbraMailDeliveryAddress=%s)(zimbraMailAlias=%s)){_ON}"
        "result_format = %u, %s\nresult_attribute = uid,zimbraMailDeliveryAddress,zimbraMailAlias\n",
    },
    entries=[
        (
            "zimbraDomainName=z.example",
            "",
            {"zimbraDomainType": "local", "zimbraMailStatus": "enabled", "zimbraMailTransport": "lmtp:z:7025"},
        ),
        ("zimbraDomainName=za.example", "", {"zimbraDomainType": "alias", "zimbraMailStatus": "enabled"}),
        (
            "uid=ann",
            "",
            {
                "zimbraMailDeliveryAddress": "ann@z.example",
                "zimbraMailAlias": ["a@z.example"],
                "zimbraMailStatus": "enabled",
                "zimbraPrefMailForwardingAddress": "ann@far.example",
                "zimbraMailCanonicalAddress": "ann.a@z.example",
                "zimbraMailTransport": "lmtp:z:7025",
            },
        ),
        ("cn=all", "", {"zimbraMailAlias": "all@z.example", "zimbraMailStatus": "enabled", "member": "uid=ann,@BASE@"}),
    ],
    keys=[
        "z.example",
        "za.example",
        "ann@z.example",
        "a@z.example",
        "all@z.example",
        "ann",
        "nobody@z.example",
        "@z.example",
    ],
)

_RECEIVE = "(|(authorizedService=all)(authorizedService=mail:receive))"
_BOTH = "(|(mailAddress=%s)(mailAlternateAddress=%s))"
SYSTEMS["debops"] = System(
    main="""\
virtual_mailbox_domains = ldap:@DIR@/ldap_virtual_mailbox_domains.cf
virtual_alias_maps = $alias_maps,ldap:@DIR@/ldap_virtual_forward_maps.cf,ldap:@DIR@/ldap_virtual_alias_maps.cf
virtual_mailbox_maps = ldap:@DIR@/ldap_virtual_mailbox_maps.cf
virtual_mailbox_base = /var/vmail
virtual_uid_maps = static:5000
virtual_gid_maps = static:5000
smtpd_sender_login_maps = ldap:@DIR@/ldap_smtpd_sender_login_maps.cf
smtpd_sender_restrictions = permit_mynetworks,
    check_sasl_access ldap:${config_directory}/ldap_known_sender_relays.cf,
    permit_sasl_authenticated,
    check_sender_access ldap:${config_directory}/ldap_unauth_domain_access.cf
""",
    tables={
        "ldap_virtual_mailbox_domains": "search_base = @BASE@\nscope = sub\n"
        "query_filter = (& (objectClass=dNSDomain) (dc=%s) )\nresult_attribute = dc\n",
        "ldap_virtual_alias_maps": "search_base = @BASE@\nscope = sub\nquery_filter = (&\n"
        f"  (|\n    (objectClass=mailRecipient)\n  )\n  {_BOTH}\n  {_RECEIVE}\n )\n"
        "special_result_attribute = member\nleaf_result_attribute = mailAddress\n",
        "ldap_virtual_forward_maps": "search_base = @BASE@\nscope = sub\nquery_filter = (&\n"
        f"  (| (objectClass=mailAlias) (objectClass=mailDistributionList) )\n  {_BOTH} {_RECEIVE} )\n"
        "result_attribute = mailForwardTo\n",
        "ldap_virtual_mailbox_maps": "search_base = @BASE@\nscope = sub\n"
        f"query_filter = (& (objectClass=mailRecipient) (| (mailAddress=%s) ) {_RECEIVE} )\n"
        "result_attribute = mailAddress\nresult_format = /%d/%u/Maildir/\n",
        "ldap_smtpd_sender_login_maps": "search_base = @BASE@\nscope = sub\nquery_filter = (& (| (& "
        f"(objectClass=mailRecipient) {_BOTH} ) (& (objectClass=account) (uid=%u) (host=%d) ) ) "
        "(| (authorizedService=all) (authorizedService=mail:send) ) )\nspecial_result_attribute = member\n"
        "leaf_result_attribute = uid, mailAddress, mailAlternateAddress\nsize_limit = 1\n",
        "ldap_known_sender_relays": "search_base = @BASE@\nscope = sub\nquery_filter = (& (objectClass=account)"
        " (uid=%u) (host=%d) )\nresult_attribute = uid\nresult_format = smtpd_permit_known_sender_relays\n"
        "size_limit = 1\n",
        "ldap_unauth_domain_access": "search_base = @BASE@\nscope = sub\n"
        "query_filter = (& (objectClass=dNSDomain) (| (dc=%d) (dc=%2.%1) ) )\nresult_attribute = dc\n"
        "result_format = 550 Domain Authentication Required\n",
    },
    entries=[
        ("dc=d.example", "dNSDomain", {}),
        ("uid=relay", "account", {"host": "h.example"}),
        *(
            (
                f"uid={name}",
                "mailRecipient",
                {
                    "authorizedService": "all",
                    "mailAddress": f"{name}@d.example",
                    "mailAlternateAddress": [f"{name}.x@d.example"],
                },
            )
            for name in ("ann", "bob")
        ),
        (
            "cn=fwd",
            "mailAlias",
            {
                "authorizedService": "all",
                "mailAddress": "fwd@d.example",
                "mailForwardTo": ["x@far.example", "y@e.example"],
            },
        ),
        (
            "cn=staff",
            "mailRecipient",
            {
                "authorizedService": "mail:receive",
                "mailAddress": "staff@d.example",
                "member": ["uid=ann,@BASE@", "uid=bob,@BASE@"],
            },
        ),
    ],
    keys=[
        "d.example",
        "ann@d.example",
        "bob.x@d.example",
        "relay@h.example",
        "fwd@d.example",
        "staff@d.example",
        "nobody@d.example",
        "ann",
    ],
)

SYSTEMS["yunohost"] = System(
    main="""\
virtual_mailbox_domains = @DIR@/virtual-mailbox-domains
virtual_mailbox_maps = ldap:@DIR@/ldap-accounts.cf,hash:@DIR@/app_senders_login_maps
virtual_alias_maps = ldap:@DIR@/ldap-aliases.cf,ldap:@DIR@/ldap-groups.cf
virtual_alias_domains =
virtual_transport = dovecot
recipient_delimiter = +
smtpd_sender_login_maps = unionmap:{
   # Accounts
   ldap:@DIR@/ldap-accounts.cf,
   hash:@DIR@/app_senders_login_maps }
""",
    tables={
        "ldap-accounts": "search_base = @BASE@\nquery_filter = (&(objectClass=mailAccount)(|(mail=%s)(uid=%s))"
        "(permission=cn=mail.main,ou=permission,dc=example))\nresult_attribute = mail, uid\n",
        "ldap-aliases": "search_base = @BASE@\nquery_filter = (&(objectClass=mailAccount)(mail=%s)"
        "(permission=cn=mail.main,ou=permission,dc=example))\nresult_attribute = maildrop\n",
        "ldap-groups": "search_base = @BASE@\nquery_filter = (&(objectClass=groupOfNamesYnh)(mail=%s))\n"
        "exclude_internal = yes\nsearch_timeout = 30\nscope = sub\nresult_attribute = memberUid, mail\n"
        "terminal_result_attribute = memberUid\n",
    },
    entries=[
        *(
            (
                f"uid={name}",
                "mailAccount",
                {
                    "mail": [f"{name}@y.example", f"{name}.x@y.example"],
                    "maildrop": [name, f"{name}@far.example"],
                    "permission": "cn=mail.main,ou=permission,dc=example",
                },
            )
            for name in ("ann", "bob")
        ),
        ("cn=staff", "groupOfNamesYnh", {"mail": "staff@y.example", "memberUid": ["ann", "bob"]}),
        ("cn=empty", "groupOfNamesYnh", {"mail": "empty@y.example"}),
    ],
    keys=["ann@y.example", "bob.x@y.example", "ann", "staff@y.example", "empty@y.example", "nobody@y.example"],
    stays=("a table within another",),
)

SYSTEMS["zentyal"] = System(
    main="""\
virtual_mailbox_domains = ldap:@DIR@/vdomains.cf
virtual_mailbox_maps = ldap:@DIR@/mailbox.cf
virtual_alias_maps = ldap:@DIR@/valiases.cf, ldap:@DIR@/useraliases.cf, ldap:@DIR@/groupaliases.cf
smtpd_sender_login_maps = ldap:@DIR@/login.cf
virtual_transport = lmtp:unix:private/dovecot-lmtp
""",
    tables={
        "vdomains": "search_base =  @BASE@\nquery_filter = (&(objectclass=domain)(dc=%s))\n"
        "result_attribute = dc, maildrop\n",
        "mailbox": "search_base = @BASE@\nquery_filter = (&(mail=%s)(!(quota=-1))(objectClass=person))\n"
        "result_attribute = mailbox\n",
        "valiases": "search_base = @BASE@\nquery_filter = (&(|(mail=%s)(mail=@%s))(objectClass=CourierMailAlias))\n"
        "result_attribute = maildrop\n",
        "useraliases": "search_base = @BASE@\nquery_filter = (&(otherMailbox=%s)(objectClass=user))\n"
        "result_attribute = mail\n",
        "groupaliases": "search_base = @BASE@\nquery_filter = (&(mail=%s)(objectClass=zentyalDistributionGroup))\n"
        "leaf_result_attribute = mail\nspecial_result_attribute = member\n",
        "login": "search_base = @BASE@\nquery_filter = (&(|(mail=%s)(otherMailbox=%s))(objectClass=user))\n"
        "result_attribute = mail, otherMailbox\n",
    },
    entries=[
        ("dc=n.example", "domain", {"maildrop": "n.example"}),
        *(
            (
                f"cn={name}",
                "person user",
                {
                    "mail": f"{name}@n.example",
                    "otherMailbox": [f"{name}.x@n.example"],
                    "mailbox": f"n.example/{name}/",
                    "quota": quota,
                },
            )
            for name, quota in (("ann", "0"), ("bob", "-1"))
        ),
        ("cn=alias", "courierMailAlias", {"mail": ["alias@n.example", "@n2.example"], "maildrop": "ann@n.example"}),
        (
            "cn=staff",
            "zentyalDistributionGroup",
            {"mail": "staff@n.example", "member": ["cn=ann,@BASE@", "cn=bob,@BASE@", "cn=gone,@BASE@"]},
        ),
    ],
    keys=["n.example", "n2.example", "ann@n.example", "bob@n.example", "alias@n.example", "staff@n.example",
          "x@n2.example", "ann.x@n.example"],
)  # fmt: skip

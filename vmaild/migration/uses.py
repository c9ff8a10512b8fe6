"""What each parameter of main.cf that takes tables asks them, after postconf(5) and Postfix's callers.

``keys`` are those of a ``[maps.NAME]`` table. Parameters that only local(8) or virtual(8) open are not here but in
``AGENTS``: the delivery agents refuse socketmap tables. What stands in neither is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """How a parameter asks its tables. ``extension`` is its word in propagate_unmatched_extensions, empty for none.

    ``quoted_only``: a localpart that needs quotes is asked with them only.
    """

    keys: str
    extension: str = ""
    quoted_only: bool = False


DOMAINS = Use("domain")
ADDRESSES = Use("address")

USES: Mapping[str, Use] = {
    "mydestination": DOMAINS,
    "relay_domains": Use("access"),
    "virtual_alias_domains": DOMAINS,
    "virtual_mailbox_domains": DOMAINS,
    "virtual_alias_maps": Use("address", "virtual", quoted_only=True),
    "canonical_maps": Use("address", "canonical", quoted_only=True),
    "sender_canonical_maps": Use("address", "canonical", quoted_only=True),
    "recipient_canonical_maps": Use("address", "canonical", quoted_only=True),
    "smtp_generic_maps": Use("address", "generic", quoted_only=True),
    "local_recipient_maps": Use("local"),
    "relay_recipient_maps": ADDRESSES,
    "virtual_mailbox_maps": ADDRESSES,
    "relocated_maps": ADDRESSES,
    "recipient_bcc_maps": ADDRESSES,
    "sender_bcc_maps": ADDRESSES,
    "sender_dependent_relayhost_maps": ADDRESSES,
    "sender_dependent_default_transport_maps": ADDRESSES,
    "smtpd_sender_login_maps": ADDRESSES,
    "transport_maps": Use("transport"),
}

ACCESS = Use("access")
"""The table behind ``check_..._access`` in a restriction list."""

EXACT = Use("exact")
"""The table behind one of these that is asked for the name as it is."""

_AS_IT_IS = ("check_sasl_access", "check_ccert_access")

AGENTS: Mapping[str, str] = {
    "alias_maps": "local(8)",
    "alias_database": "newaliases(1)",
    "mailbox_command_maps": "local(8)",
    "mailbox_transport_maps": "local(8)",
    "fallback_transport_maps": "local(8)",
    "virtual_uid_maps": "virtual(8)",
    "virtual_gid_maps": "virtual(8)",
}
"""Parameters that a delivery agent opens, and which one."""


def access(check: str) -> Use:
    """How the table behind ``check``, which is an access check, is asked."""
    return EXACT if check in _AS_IT_IS else ACCESS


def is_access_check(word: str) -> bool:
    """Whether ``word`` of a restriction list is one that takes a table."""
    return word.startswith("check_") and word.endswith("_access")

"""main.cf: its parameters, with Postfix's defaults below them, expanded when they are asked for.

Where ``postconf`` is at hand its ``-d`` gives all defaults. ``DEFAULTS`` holds those that matter to tables for where it
is not; a parameter without a known default is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vmaild.postfix import lines, macros

DEFAULTS: Mapping[str, str] = {
    "alias_maps": "hash:/etc/aliases",
    "canonical_maps": "",
    "config_directory": "/etc/postfix",
    "local_recipient_maps": "proxy:unix:passwd.byname $alias_maps",
    "mydestination": "$myhostname, localhost.$mydomain, localhost",
    "myorigin": "$myhostname",
    "owner_request_special": "yes",
    "parent_domain_matches_subdomains": "debug_peer_list,fast_flush_domains,mynetworks,"
    "permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
    "propagate_unmatched_extensions": "canonical, virtual",
    "recipient_delimiter": "",
    "relay_domains": "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
    "compatibility_level": "0",
    "virtual_alias_domains": "$virtual_alias_maps",
    "virtual_alias_maps": "$virtual_maps",
    "virtual_mailbox_domains": "$virtual_mailbox_maps",
    "virtual_transport": "virtual",
}
"""Postfix 3.7's own, postconf(5)."""


@dataclass(frozen=True, slots=True)
class MainCf:
    """The parameters of a main.cf. ``text`` is the file itself."""

    text: str
    settings: lines.Settings
    defaults: Mapping[str, str] = field(default_factory=lambda: DEFAULTS)

    @classmethod
    def of(cls, text: str, defaults: Mapping[str, str] = DEFAULTS) -> MainCf:
        """The parameters in ``text``."""
        return cls(text, lines.settings(text), defaults)

    def __contains__(self, name: str) -> bool:
        """Whether the file itself sets ``name``."""
        return name in self.settings.values

    def written(self, name: str) -> str | None:
        """The value as written or by default, not expanded; None for an unknown parameter."""
        value = self.settings.values.get(name)
        return self.defaults.get(name) if value is None else value

    def value(self, name: str) -> str:
        """The value, expanded; empty for an unknown parameter. Raises ValueError for what stops Postfix."""
        try:
            return macros.expand(self.written(name) or "", self.written)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def source(self, name: str) -> dict[str, str]:
        """The parameters of the table ``ldap:name``, by their names in ldap_table(5), expanded."""
        prefix = f"{name}_"
        return {key.removeprefix(prefix): self.value(key) for key in self.settings.values if key.startswith(prefix)}

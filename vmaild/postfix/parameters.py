"""What ldap_table(5) knows, by name, and typed reading as cfg_parser.c does it.

Every parameter of the manual stands in one of the groups here; ``vmaild.postfix.ldap_cf`` maps the first two, and names
those of the others that are set. A name in no group is misspelt or of another program: Postfix leaves it out without a
word, and ``Source.unknown`` names it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

QUERY = (
    "search_base",
    "scope",
    "query_filter",
    "result_format",
    "result_filter",
    "domain",
    "result_attribute",
    "special_result_attribute",
    "leaf_result_attribute",
    "terminal_result_attribute",
    "size_limit",
    "expansion_limit",
    "recursion_limit",
)
"""What is asked, and what is made of the answer."""

DIRECTORY = (
    "server_host",
    "server_port",
    "timeout",
    "bind",
    "bind_dn",
    "bind_pw",
    "version",
    "start_tls",
    "tls_ca_cert_dir",
    "tls_ca_cert_file",
    "tls_cert",
    "tls_key",
    "tls_require_cert",
)
"""Which server, as whom, and how it is reached."""

SASL = ("sasl_mechs", "sasl_realm", "sasl_authz_id", "sasl_minssf")
"""Read by Postfix with ``bind = sasl`` only."""

REFUSED = ("dereference", "chase_referrals", "tls_cipher_suite")
"""Cannot be kept when they are set to more than their default."""

WITHOUT_EFFECT = ("cache", "cache_expiry", "cache_size", "debuglevel", "tls_random_file")
"""Change no answer: no longer read by Postfix itself, or for debugging."""

KNOWN = (*QUERY, *DIRECTORY, *SASL, *REFUSED, *WITHOUT_EFFECT)

# $name, ${name} or $(name): what would be expanded in main.cf.
_MACRO = re.compile(r"\$[A-Za-z0-9_({]")
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
_MAX_INT = 2**31 - 1
"""Parameters are C ints."""


@dataclass(slots=True)
class Source:
    """One ldap_table(5) source being read: its settings, and what was noticed.

    Problems and warnings are (parameter, text). ``literal`` tells that the settings come from a file of their own.
    """

    values: Mapping[str, str]
    literal: bool = True
    problems: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def problem(self, name: str, text: str) -> None:
        """Note what cannot be kept."""
        self.problems.append((name, text))

    def warn(self, name: str, text: str) -> None:
        """Note what works but should be checked."""
        self.warnings.append((name, text))

    def text(self, name: str, default: str = "") -> str:
        """A string; empty when it is set to nothing."""
        value = self.values.get(name, default)
        if self.literal and name in self.values and _MACRO.search(value) and name != "domain":
            self.problem(name, f"{value!r}: Postfix expands no $name in a table's own file; write the value out")
        return value

    def integer(self, name: str, default: int, least: int = 0) -> int:
        """A whole number of at least ``least``; Postfix stops at anything else."""
        if name not in self.values:
            return default
        match = _INTEGER.fullmatch(self.values[name])
        if match is None or abs(int(match[1])) > _MAX_INT:
            self.problem(name, f"{self.values[name]!r} is no number; Postfix stops there")
            return default
        number = int(match[1])
        if number < least:
            self.problem(name, f"must be at least {least}")
            return default
        return number

    def flag(self, name: str) -> bool:
        """``yes`` or ``no``; Postfix stops at anything else."""
        value = self.values.get(name, "no").lower()
        if value not in ("yes", "no"):
            self.problem(name, f"{self.values[name]!r} is neither yes nor no; Postfix stops there")
        return value == "yes"

    def note_unknown(self) -> None:
        """Warn of every parameter that Postfix does not know and leaves out; in main.cf, of those that look misspelt.

        There ``NAME_`` may be the beginning of parameters that are not this table's.
        """
        for name in self.values:
            if name not in KNOWN:
                near = difflib.get_close_matches(name, KNOWN, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                if near or self.literal:
                    self.warn(name, f"is no parameter of ldap_table(5) and has no effect{hint}")

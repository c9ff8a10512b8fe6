"""Addresses as Postfix looks them up: folding, splitting, extensions, and the ordered search keys.

Socketmap and tcp tables get the full address only, so the search that Postfix does for other tables is done
here, in the order of mail_addr_find(3): the full address, the address without its extension, ``@domain``.

The localpart ends at the last ``@``. A localpart that needs quotes (``"john doe"@example.com``, RFC 5321, 4.1.2) is
looked up with them and then without, however it came: so Postfix does for most of its parameters, but for alias and
canonical maps, which it asks for the quoted form only.

A domain in U-labels and the same in A-labels (``xn--...``) are one: what stands in the directory in one form is found
by the other, the form asked for first. The forms are those of IDNA 2003 (RFC 3490), which Python has: it takes ``ß``
for ``ss`` and knows no letter that came after Unicode 3.2.
"""

from __future__ import annotations

import re

from vmaild.tables.template import Parts

RESERVED_LOCALPARTS = frozenset({"postmaster", "mailer-daemon", "double-bounce"})
"""split_addr(3): these localparts are never split, whatever the delimiter."""

# RFC 5322, 3.2.3, with the letters of RFC 6531: all but controls, space and specials. Said by what it is not, since a
# class up to U+10FFFF takes a noticeable part of the start-up to compile.
_ATOM = r"[^\x00-\x20\x7f\"(),.:;<>@\[\\\]]+"
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_HOST = re.compile(r"[a-z0-9_.-]+", re.IGNORECASE)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_NEEDS_ESCAPE = re.compile(r'(["\\])')
# A phrase, and the address in angle brackets behind it (RFC 5322, 3.4).
_IN_ANGLES = re.compile(r"(?:\"(?:\\.|[^\"\\])*\"|[^\"<>])*<((?:\"(?:\\.|[^\"\\])*\"|[^\"<>])*)>", re.DOTALL)
_VALUES = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^,"])+|"', re.DOTALL)


def fold(key: bytes) -> bytes | None:
    """The key in lower case, or None for one that is not to be looked up.

    A key that is not UTF-8 is not found (ldap_table(5)). Neither is one with a NUL: slapd ends a value of IA5 text
    there, and would find what stands before it. ASCII is lower-cased; other letters are case-folded, as Postfix does
    for SMTPUTF8 addresses.
    """
    if key.isascii():
        return None if b"\0" in key else key.lower()
    try:
        return None if b"\0" in key else key.decode().casefold().encode()
    except UnicodeDecodeError:
        return None


def split(address: str) -> tuple[str, str] | None:
    """(localpart, domain) at the last ``@``; None without an ``@`` or without a domain behind it."""
    localpart, at, domain = address.rpartition("@")
    return (localpart, domain) if at and domain else None


def split_extension(localpart: str, delimiters: str, *, owner_request_special: bool = True) -> tuple[str, str]:
    """(localpart without extension, extension with its delimiter), as split_addr(3).

    Split at the first of any of ``delimiters``; the extension is empty where nothing is split: no delimiter, an
    empty localpart before it, a reserved localpart, or, where ``-`` is a delimiter, ``owner-x`` and ``x-request``.
    """
    at = len(localpart)
    for delimiter in delimiters:
        found = localpart.find(delimiter)
        if 0 <= found < at:
            at = found
    if at in (0, len(localpart)) or localpart in RESERVED_LOCALPARTS:
        return localpart, ""
    if owner_request_special and "-" in delimiters and _is_owner_request(localpart):
        return localpart, ""
    return localpart[:at], localpart[at:]


def _is_owner_request(localpart: str) -> bool:
    return localpart.startswith("owner-") or (localpart.endswith("-request") and localpart != "-request")


def search_keys(
    address: str, delimiters: str = "", *, owner_request_special: bool = True, quoted_only: bool = False
) -> list[Parts]:
    """The keys to search for, most specific first; empty when ``address`` has no domain.

    ``delimiters`` is main.cf's recipient_delimiter: any of its characters starts an extension.
    """
    localpart, at, domain = address.rpartition("@")
    if not (at and domain):
        return []
    keys = []
    if localpart:
        plain = _DOT_STRING.fullmatch(localpart) is not None
        forms = [localpart] if plain else quoted_first(localpart, quoted_only=quoted_only)
        keys = [Parts(f"{form}@{domain}", form, domain) for form in forms]
        bare = localpart if plain else unquote(localpart)
        bare, extension = split_extension(bare, delimiters, owner_request_special=owner_request_special)
        if extension:
            forms = quoted_first(bare, quoted_only=quoted_only)
            keys += [Parts(f"{form}@{domain}", form, domain, extension) for form in forms]
    keys.append(Parts(f"@{domain}", "", domain))
    if (other := other_labels(domain)) is not None:
        return [one for key in keys for one in (key, _in_domain(key, other))]
    return keys


def _in_domain(key: Parts, domain: str) -> Parts:
    return Parts(f"{key.localpart}@{domain}", key.localpart, domain, key.extension)


def other_labels(domain: str) -> str | None:
    """The domain in A-labels when it has U-labels, and the other way round; None when it has neither."""
    ascii_only = domain.isascii()
    if ascii_only and "xn--" not in domain:
        return None
    try:
        in_a_labels = domain if ascii_only else domain.encode("idna").decode()
        other = in_a_labels.encode().decode("idna") if ascii_only else in_a_labels
    except UnicodeError:
        return None
    # What is no host name (a space, a control) is not to be made into one.
    return other.casefold() if other.casefold() != domain and _HOST.fullmatch(in_a_labels) else None


def unquote(localpart: str) -> str:
    """The localpart without quotes and backslashes; one that is not quoted comes back as it is."""
    if len(localpart) >= 2 and localpart[0] == localpart[-1] == '"':
        return _QUOTED_PAIR.sub(r"\1", localpart[1:-1])
    return localpart


def quote(localpart: str) -> str:
    """The localpart with quotes where RFC 5321 wants them, else as it is."""
    if _DOT_STRING.fullmatch(localpart):
        return localpart
    return '"' + _NEEDS_ESCAPE.sub(r"\\\1", localpart) + '"'


def quoted_first(localpart: str, *, quoted_only: bool = False) -> list[str]:
    """The forms of a localpart that are searched for: with quotes where it needs them, and without."""
    if _DOT_STRING.fullmatch(localpart):
        return [localpart]
    plain = unquote(localpart)
    quoted = quote(plain)
    return [quoted] if quoted_only or plain in (quoted, "") else [quoted, plain]


def add_extension(value: str, extension: str) -> str:
    """``value``, a list of addresses, with ``extension`` behind each localpart, as mail_addr_crunch(3) does.

    Of ``Name <user@domain>`` only the address is left.
    ``@otherdomain`` stays as it is: Postfix puts the user's own localpart, extension included, before it.
    """
    return ",".join(_extend(part, extension) for part in split_values(value))


def split_values(value: str) -> list[str]:
    """The addresses of ``value``, a list with commas between; those in a quoted localpart do not count."""
    return [part.strip() for part in _VALUES.findall(value) if part.strip()]


def _extend(address: str, extension: str) -> str:
    if (named := _IN_ANGLES.fullmatch(address)) is not None:
        address = named[1].strip()
    localpart, at, domain = address.rpartition("@")
    if not at:
        localpart, domain = address, ""
    elif not localpart:
        return address
    return f"{quote(unquote(localpart) + extension)}{at}{domain}"

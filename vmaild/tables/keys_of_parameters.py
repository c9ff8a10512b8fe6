"""The search keys of parameters that look for more than addresses, most specific first.

Postfix asks a socketmap for the full key only, so the order that its manual pages tell is kept here:

- ``transport`` (transport(5)): the address, without its extension, the domain, each parent with a dot before it, ``*``.
  As by default, ``transport_maps`` is not in parent_domain_matches_subdomains.
- ``access`` (access(5)): the address, without its extension, the domain, its parents, ``user+extension@``, ``user@``;
  of a client's IP address, that and the networks that it begins with.
  As by default, ``smtpd_access_maps`` is in parent_domain_matches_subdomains, so parents have no dot.
  ``relay_domains`` asks so too, for a bare domain.
- ``local`` (``local_recipient_maps``, virtual(5)): the address, without its extension, for a domain of
  ``mydestination`` the localpart alone, without its extension, and ``@domain``.

A key without ``@`` is a domain to ``transport`` and ``access``, and a localpart to ``local``. A domain in U-labels and
the same in A-labels are one (``vmaild.tables.address``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator

from vmaild.tables.address import other_labels, quoted_first, search_keys, split_extension, unquote
from vmaild.tables.template import Parts

WILDCARD = "*"


def exact(key: str) -> list[Parts]:
    """The key as it is."""
    return [Parts.of(key)] if key else []


def domain(key: str) -> list[Parts]:
    """A bare domain."""
    return [] if "@" in key else [Parts.of(form) for form in _labels(key)]


def transport(key: str, delimiters: str = "", *, owner_request_special: bool = True) -> list[Parts]:
    """Of transport_maps."""
    if key == WILDCARD or not key:
        return exact(key)
    name = key.rpartition("@")[2]
    below = [Parts.of(f".{form}") for parent in _parents(name) for form in _labels(parent)]
    addresses = _addresses(key, delimiters, owner_request_special=owner_request_special)
    return [*addresses, *domain(name), *below, Parts.of(WILDCARD)]


def access(key: str, delimiters: str = "", *, owner_request_special: bool = True) -> list[Parts]:
    """Of check_sender_access and its like."""
    localpart, at, name = key.rpartition("@")
    if not (key and name):
        return exact(key)
    numerical = _is_ip(name)
    if numerical and not at:
        return [Parts.of(form) for form in _networks(name)]
    addresses = _addresses(key, delimiters, owner_request_special=owner_request_special)
    above = [] if numerical else _parents(name)
    parents = [Parts.of(form) for parent in above for form in _labels(parent)]
    users = []
    if at and localpart:
        forms = _users(localpart, delimiters, owner_request_special=owner_request_special)
        users = [Parts.of(f"{form}@") for form, _ in forms]
    return [*addresses, *domain(name), *parents, *users]


def local(
    key: str,
    delimiters: str = "",
    *,
    owner_request_special: bool = True,
    quoted_only: bool = False,
    domains: Collection[str] = (),
) -> list[Parts]:
    """Of local_recipient_maps; ``domains`` are those of mydestination."""
    localpart, at, name = key.rpartition("@")
    localpart = localpart if at else key
    users: list[Parts] = []
    how = {"owner_request_special": owner_request_special, "quoted_only": quoted_only}
    if localpart and (not at or name in domains or other_labels(name) in domains):
        forms = _users(localpart, delimiters, **how)
        users = [Parts(form, form, "", extension) for form, extension in forms]
    if not (at and name):
        return users
    full = search_keys(key, delimiters, **how)
    addresses = [one for one in full if one.localpart]
    return [*addresses, *users, *full[len(addresses) :]]


def _addresses(key: str, delimiters: str, *, owner_request_special: bool) -> list[Parts]:
    found = search_keys(key, delimiters, owner_request_special=owner_request_special)
    return [one for one in found if one.localpart]


def _users(
    localpart: str, delimiters: str, *, owner_request_special: bool, quoted_only: bool = False
) -> Iterator[tuple[str, str]]:
    """The localpart and that without its extension, in all forms, each with the extension left out."""
    yield from ((form, "") for form in quoted_first(localpart, quoted_only=quoted_only))
    bare, extension = split_extension(unquote(localpart), delimiters, owner_request_special=owner_request_special)
    if extension:
        yield from ((form, extension) for form in quoted_first(bare, quoted_only=quoted_only))


def _is_ip(name: str) -> bool:
    try:
        return bool(name) and (name[-1].isdigit() or ":" in name) and bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _networks(address: str) -> list[str]:
    """An IP address and what is left when one part after the other is taken off its end."""
    delimiter = ":" if ":" in address else "."
    parts = address.split(delimiter)
    return [delimiter.join(parts[:number]) for number in range(len(parts), 0, -1)]


def _parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[number:]) for number in range(1, len(labels))]


def _labels(name: str) -> list[str]:
    other = other_labels(name) if name else None
    return [name] if other is None else [name, other]

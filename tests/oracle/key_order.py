"""The keys that Postfix asks of a table for one address, in their order, by who asks: what vmaild has to do itself.

Told after mail_addr_find(3), transport.c and smtpd_check.c of Postfix 3.7, and held against the real one by
``test_key_order``. A localpart that needs quotes is asked quoted first, and then as it is. ``delimiters`` is
recipient_delimiter.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmaild.tables.address import quote, split_extension


def address_keys(localpart: str, domain: str, delimiters: str) -> list[str]:
    """Of most parameters: the full address, without extension, ``@domain``. ``localpart`` is not quoted."""
    return [*_addresses(localpart, domain, delimiters), f"@{domain}"]


def transport_keys(localpart: str, domain: str, delimiters: str) -> list[str]:
    """Of transport_maps: the address, without extension, the domain, each parent with a dot before it, ``*``.

    transport_maps is not in parent_domain_matches_subdomains by default; else parents would have no dot.
    """
    parents = _parents(domain)
    return [*_addresses(localpart, domain, delimiters), domain, *(f".{parent}" for parent in parents), "*"]


def access_keys(localpart: str, domain: str, delimiters: str) -> list[str]:
    """Of check_sender_access and check_recipient_access: the address, the domain and its parents, ``user@``.

    smtpd_access_maps is in parent_domain_matches_subdomains by default; else each parent would have a dot before it.
    """
    users = [f"{form}@" for name in _localparts(localpart, delimiters) for form in _forms(name)]
    return [*_addresses(localpart, domain, delimiters), domain, *_parents(domain), *users]


def client_keys(name: str, address: str) -> list[list[str]]:
    """Of check_client_access, which asks for the name and then for the address: that and the networks above it."""
    delimiter = ":" if ":" in address else "."
    parts = address.split(delimiter)
    networks = [delimiter.join(parts[:number]) for number in range(len(parts), 0, -1)]
    return [[name, *_parents(name)], networks]


def local_keys(localpart: str, domain: str, delimiters: str) -> list[str]:
    """Of local_recipient_maps, for a domain of mydestination: the address, the localpart alone, ``@domain``."""
    users = [form for name in _localparts(localpart, delimiters) for form in _forms(name)]
    return [*_addresses(localpart, domain, delimiters), *users, f"@{domain}"]


def _addresses(localpart: str, domain: str, delimiters: str) -> list[str]:
    return [f"{form}@{domain}" for name in _localparts(localpart, delimiters) for form in _forms(name)]


def _localparts(localpart: str, delimiters: str) -> Iterator[str]:
    yield localpart
    bare, extension = split_extension(localpart, delimiters)
    if extension:
        yield bare


def _forms(localpart: str) -> list[str]:
    return list(dict.fromkeys((quote(localpart), localpart)))


def _parents(domain: str) -> list[str]:
    labels = domain.split(".")
    return [".".join(labels[number:]) for number in range(1, len(labels))]

"""``canary`` of a ``[maps.NAME]`` table: keys that the map must always find."""

from __future__ import annotations

from vmaild.config.section import Section


def read_canaries(section: Section) -> tuple[str, ...]:
    """The canaries, in lower case; what is wrong with one is noted."""
    keys = section.values.get("keys", "address")
    found = section.strings("canary") or ()
    for key in found:
        localpart, at, domain = key.rpartition("@")
        if keys == "address" and not (localpart and domain):
            section.problem("canary", f'{key!r} is no address: write one that must always be found, "you@example.com"')
        elif keys == "domain" and (at or not domain):
            section.problem("canary", f'{key!r} is no domain: write one that must always be found, "example.com"')
        elif not key:
            section.problem("canary", "is empty: write a key that must always be found, or leave it out")
    return tuple(key.lower() for key in found)

"""What the maps of the preset must say of an address, by the manual and not by the tables, and what they could have."""

from __future__ import annotations

from vmaild.cache import Known
from vmaild.errors import DataError
from vmaild.lookup import NODATA, NOT_FOUND, Entry
from vmaild.tables import address

BAD = "bad"
"""In a ``Truth``, what stands for data that must not be used."""

Outcome = tuple[object, ...]


def outcome(tree: list[Entry], key: str) -> Outcome:
    """What the maps of the preset must say of ``key``, by the manual and not by vmaild's tables."""
    local, _, domain = key.partition("@")
    base, plus, extension = local.partition("+")
    steps = [(key, "")] + ([(f"{base}@{domain}", plus + extension)] if plus else []) + [(f"@{domain}", "")]
    mailbox = alias_map = login = None
    for mail, ext in steps:
        here = [one for one in tree if one.values("mail") == (mail.encode(),)]
        accounts = [one for one in here if one.values("objectclass") == (b"courierMailAccount",)]
        drops = [one for one in here if one.values("objectclass") == (b"courierMailAlias",)]
        if mailbox is None and here:
            mailbox = _mailbox(accounts) if accounts else NODATA
        if alias_map is None and here:
            alias_map = _list(drops, ext) if drops else NODATA
        if login is None and here:
            login = mail.encode() if accounts else _list(drops, "")
        if mail == "postmaster@d.example" and (roles := [one for one in tree if one.dn.startswith("cn=")]):
            alias_map = _members(roles[0]) if alias_map is None else alias_map
            login = _members(roles[0]) if login is None else login
    return tuple(NOT_FOUND if one is None else one for one in (mailbox, alias_map, login))


def _mailbox(accounts: list[Entry]) -> object:
    boxes = [box for one in accounts for box in one.values("mailbox")]
    return BAD if len(accounts) > 1 or len(boxes) != 1 or boxes[0].startswith(b"/") else boxes[0]


def _list(aliases: list[Entry], extension: str) -> object:
    values = list(dict.fromkeys(drop.decode() for one in aliases for drop in one.values("maildrop")))
    if not values or any("\n" in value for value in values):
        return BAD
    text = ",".join(values)
    return (address.add_extension(text, extension) if extension else text).encode()


def _members(one: Entry) -> object:
    values = [dn.decode().partition(",")[0].removeprefix("mail=") for dn in one.values("roleoccupant")]
    return ",".join(values).encode() if values else BAD


class Truth:
    """What could have been said of one key, each with the time until which it could: ``inf`` for what holds now."""

    def __init__(self) -> None:
        self.until: dict[Outcome, float] = {}
        self.now: Outcome = ()

    def change(self, new: Outcome, time: float) -> None:
        if new != self.now:
            if self.now:
                self.until[self.now] = time
            self.now = new
        self.until[new] = float("inf")

    def forget_before(self, time: float) -> None:
        self.until = {one: until for one, until in self.until.items() if until >= time}

    def last(self, known: tuple[object, ...]) -> float:
        """Until when ``known`` held; None there fits everything. Minus infinity when it never did."""
        until = self.until.get(known)
        if until is not None:
            return until
        fits = [
            until
            for one, until in self.until.items()
            if all(k is None or k == o for k, o in zip(known, one, strict=True))
        ]
        return max(fits, default=float("-inf"))


def plain(known: Known) -> object:
    return BAD if isinstance(known, DataError) else known


def both_not_found(one: Outcome) -> bool:
    return one[0] in (NOT_FOUND, NODATA) and one[1] in (NOT_FOUND, NODATA)

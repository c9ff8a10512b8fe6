"""What slapd 2.5.13 sent, one LDAP message each, recorded on loopback; and what it means."""

from __future__ import annotations

from vmaild.directory.sync_events import (
    Answer,
    Event,
    NewCookie,
    RefreshDelete,
    RefreshPresent,
    SearchDone,
    SearchEntry,
    SearchReference,
    State,
    SyncIdSet,
    SyncState,
)

UUID = bytes.fromhex("259cd7547d71104196b0f3b6eb412b5a")
UUID_A = bytes.fromhex("2567a7fa7d7110418a0feb574b8c053d")
UUID_B = bytes.fromhex("2567aaca7d7110418a11eb574b8c053d")


def cookie(time: str) -> bytes:
    return f"rid=000,csn=202611252310{time}Z#000000#000#000000".encode()


RECORDED: dict[str, tuple[str, Event]] = {
    "a bind accepted": ("300c02010161070a010004000400", Answer(1, 0, "")),
    "nothing happened since the cookie": (
        "3023020104791e8018312e332e362e312e342e312e343230332e312e392e312e348102a100",
        RefreshDelete(4, None, True),
    ),
    "an entry added": (
        "3081a902010464370408636e3d632c6f3d78302b30090402636e3103040163301e04136465736372697074696f6e3b6c616e672d6465"
        "3107040542c3bc726fa06b30690418312e332e362e312e342e312e343230332e312e392e312e32044d304b0a01010410259cd7547d71"
        "104196b0f3b6eb412b5a04347269643d3030302c63736e3d32303236313132353233313032372e3730303437395a2330303030303023"
        "30303023303030303030",
        SearchEntry(
            4,
            "cn=c,o=x",
            {"cn": (b"c",), "description;lang-de": ("Büro".encode(),)},
            SyncState(State.ADD, UUID, cookie("27.700479")),
        ),
    ),
    "an entry renamed": (
        "3081a902010464370408636e3d642c6f3d78302b301e04136465736372697074696f6e3b6c616e672d64653107040542c3bc726f3009"
        "0402636e3103040164a06b30690418312e332e362e312e342e312e343230332e312e392e312e32044d304b0a01020410259cd7547d71"
        "104196b0f3b6eb412b5a04347269643d3030302c63736e3d32303236313132353233313032382e3331353839335a2330303030303023"
        "30303023303030303030",
        SearchEntry(
            4,
            "cn=d,o=x",
            {"description;lang-de": ("Büro".encode(),), "cn": (b"d",)},
            SyncState(State.MODIFY, UUID, cookie("28.315893")),
        ),
    ),
    "an entry deleted": (
        "307e020104640c0408636e3d642c6f3d783000a06b30690418312e332e362e312e342e312e343230332e312e392e312e32044d304b0a"
        "01030410259cd7547d71104196b0f3b6eb412b5a04347269643d3030302c63736e3d32303236313132353233313032382e3632343638"
        "315a233030303030302330303023303030303030",
        SearchEntry(4, "cn=d,o=x", {}, SyncState(State.DELETE, UUID, cookie("28.624681"))),
    ),
    "an entry in a refresh, without a cookie": (
        "305302010264170408636e3d622c6f3d78300b30090402636e3103040162a03530330418312e332e362e312e342e312e343230332e31"
        "2e392e312e32041730150a010104102567aaca7d7110418a11eb574b8c053d",
        SearchEntry(2, "cn=b,o=x", {"cn": (b"b",)}, SyncState(State.ADD, UUID_B, None)),
    ),
    "a write outside the search": (
        "305702010479528018312e332e362e312e342e312e343230332e312e392e312e34813680347269643d3030302c63736e3d3230323631"
        "3132353233303733392e3131383030385a233030303030302330303023303030303030",
        NewCookie(4, b"rid=000,csn=20261125230739.118008Z#000000#000#000000"),
    ),
    "entries that are still there": (
        "304902010279448018312e332e362e312e342e312e343230332e312e392e312e348128a326312404102567a7fa7d7110418a0feb574b"
        "8c053d04102567aaca7d7110418a11eb574b8c053d",
        SyncIdSet(2, None, False, (UUID_A, UUID_B)),
    ),
    "an entry that is gone, from the session log": (
        "3081a102010279819b8018312e332e362e312e342e312e343230332e312e392e312e34817fa37d04647269643d3030302c63736e3d32"
        "303236313132353233313033302e3231373437385a2330303030303023303030233030303030302c64656c63736e3d32303236313132"
        "353233313033312e3436383834355a2330303030303023303030233030303030300101ff31120410274dde547d711041880d7b38c0b4"
        "b4ef",
        SyncIdSet(
            2,
            cookie("30.217478") + b",delcsn=20261125231031.468845Z#000000#000#000000",
            True,
            (bytes.fromhex("274dde547d711041880d7b38c0b4b4ef"),),
        ),
    ),
    "the end of a present phase": (
        "305902010279548018312e332e362e312e342e312e343230332e312e392e312e348138a23604347269643d3030302c63736e3d323032"
        "36313132353233313032382e3933323533345a233030303030302330303023303030303030",
        RefreshPresent(2, cookie("28.932534"), True),
    ),
    "the end of a delete phase": (
        "305902010279548018312e332e362e312e342e312e343230332e312e392e312e348138a13604347269643d3030302c63736e3d323032"
        "36313132353233313032382e3933323533345a233030303030302330303023303030303030",
        RefreshDelete(2, cookie("28.932534"), True),
    ),
    "a referral object": (
        "3050020102731404126c6461703a2f2f682f636e3d723f3f737562a03530330418312e332e362e312e342e312e343230332e312e392e"
        "312e32041730150a0101041026e4092a7d71104196b1f3b6eb412b5a",
        SearchReference(2, SyncState(State.ADD, bytes.fromhex("26e4092a7d71104196b1f3b6eb412b5a"), None)),
    ),
    "the suffix's contextCSN": (
        "3046020105644104036f3d78303a3038040a636f6e7465787443534e312a042832303236313132353233313032382e3331353839335a"
        "233030303030302330303023303030303030",
        SearchEntry(5, "o=x", {"contextcsn": (b"20261125231028.315893Z#000000#000#000000",)}, None),
    ),
    "the end of a search": ("300c02010565070a010004000400", SearchDone(5, 0, "", None)),
    "a cookie of the future": (
        "3032020102652d0a013504000426636f6e73756d6572207374617465206973206e65776572207468616e2070726f766964657221",
        SearchDone(2, 53, "consumer state is newer than provider!", None),
    ),
    "no overlay": (
        "3033020104652e0a010c04000427637269746963616c20636f6e74726f6c20756e617661696c61626c6520696e20636f6e74657874",
        SearchDone(4, 12, "critical control unavailable in context", None),
    ),
}
"""By what happened: the message in hexadecimal, and the event that it is."""


def recorded(name: str) -> bytes:
    return bytes.fromhex(RECORDED[name][0])


STREAM = b"".join(bytes.fromhex(data) for data, _ in RECORDED.values())
"""All of them, one after the other."""

"""The lookups that the demo shows, each with what it is an example of."""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.demo.ask import ask
from vmaild.listening import Address
from vmaild.lookup import Reply, Status

LOOKUPS = (
    ("virtual_mailbox_domains", "domain1.example", "a hosted domain"),
    ("virtual_mailbox_domains", "elsewhere.example", "not hosted here"),
    ("virtual_mailbox_maps", "user2@domain2.example", "an account"),
    ("virtual_mailbox_maps", "User2@Domain2.Example", "letter case does not matter"),
    ("virtual_mailbox_maps", "user2+lists@domain2.example", "nor does an extension"),
    ("virtual_mailbox_maps", "john.doe@domain1.example", "a second address of an account"),
    ("virtual_mailbox_maps", "nobody@domain1.example", "nobody has it"),
    ("virtual_alias_maps", "user1@domain3.example", "an alias"),
    ("virtual_alias_maps", "user1+lists@domain3.example", "the extension goes along"),
    ("virtual_alias_maps", "info@domain1.example", "one of two addresses of two people"),
    ("virtual_alias_maps", "user1+orders@domain1.example", "an extension with an alias of its own"),
    ("virtual_alias_maps", "postmaster@domain2.example", "the occupants of the role; one of them has left"),
    ("virtual_alias_maps", "abuse@domain2.example", "the system administrator"),
    ("virtual_alias_maps", "anything@domain3.example", "the catch-all"),
    ("virtual_alias_maps", "user2@domain3.example", "an account: the catch-all leaves it alone"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was asked, what came back, and why it was asked."""

    map_name: str
    key: str
    reply: Reply
    example: str


def ask_all(address: Address) -> list[Row]:
    """Ask every lookup over the wire. Raises as ``ask`` does."""
    return [Row(name, key, ask(address, name, key), example) for name, key, example in LOOKUPS]


def table(rows: list[Row]) -> str:
    """The rows in aligned columns, under a heading."""
    lines = [("map", "key", "answer", "")]
    lines += [(row.map_name, row.key, _answer(row.reply), row.example) for row in rows]
    return aligned(lines)


def aligned(lines: list[tuple[str, str, str, str]]) -> str:
    """Lines of cells as columns, each as wide as its longest cell."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def failures(rows: list[Row]) -> int:
    """How many lookups the directory did not answer."""
    return sum(not row.reply.authoritative for row in rows)


def _answer(reply: Reply) -> str:
    if reply.status is Status.FOUND:
        return reply.text.decode(errors="replace")
    if reply.status is Status.NOT_FOUND:
        return "(not found)"
    return f"({reply.status.value.decode()}: {reply.text.decode(errors='replace')})"

"""What must be answered: questions, each with its only right answer.

The directory is the demo's tree, ``benchmarks.site.population`` and the few domains of ``extra_ldif``. Nothing that is
asked for here changes during a run; for what changes see ``changes``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.site.population import ALIASES, DOMAINS, MAILBOXES, PER_ALIAS, address, alias, domain_of, mailbox
from vmaild.demo.tree import SEARCH_BASE
from vmaild.lookup import Reply, Request, Status
from vmaild.wire import socketmap

ACCOUNTS = 3000

BIG_DROPS = 1500
"""Values of the catch-all of ``BIG_DOMAIN``: some 90,000 bytes, which still go into a reply."""

HUGE_DROPS = 8000
"""Values of an alias that cannot go into a reply."""

BIG_DOMAIN = "big.example"
CHANGING_DOMAIN = "changing.example"


class Question(NamedTuple):
    """One lookup, and the status and value that are right. TEMP is judged elsewhere (``verdict``)."""

    map_name: bytes
    key: bytes
    status: Status
    value: bytes = b""

    @property
    def wire(self) -> bytes:
        """The request as it is sent."""
        return socketmap.encode_request(Request(self.map_name, self.key))

    def wrong(self, reply: Reply) -> str:
        """What is wrong with ``reply``; "" when nothing is, or when it is TEMP."""
        if reply.status is Status.TEMPORARY or (reply.status is self.status and self.status is not Status.FOUND):
            return ""
        if reply.status is self.status and reply.text == self.value:
            return ""
        said = f"{reply.status.name} {reply.text[:60]!r}"
        return f"{self.map_name.decode()} {self.key[:60]!r}: {said}, not {self.status.name} {self.value[:60]!r}"


def big_drops() -> list[str]:
    """The values of the big catch-all, in the order of the entry."""
    return [f"receiver{number:05}@a-domain-with-a-long-name-{number:05}.example" for number in range(BIG_DROPS)]


def extra_ldif() -> str:
    """The domains beside the population's."""
    huge = [f"receiver{number:05}@elsewhere.example" for number in range(HUGE_DROPS)]
    return "".join(
        [
            _organization(BIG_DOMAIN),
            alias_entry(f"@{BIG_DOMAIN}", big_drops()),
            alias_entry(f"huge@{BIG_DOMAIN}", huge),
            _organization(CHANGING_DOMAIN),
        ]
    )


def alias_entry(mail: str, drops: list[str]) -> str:
    """LDIF of an alias below its own domain."""
    dn = f"dn: mail={mail},o={mail.rpartition('@')[2]},{SEARCH_BASE}\n"
    return f"{dn}objectClass: courierMailAlias\nmail: {mail}\n" + "".join(f"maildrop: {one}\n" for one in drops) + "\n"


def _organization(domain: str) -> str:
    return f"dn: o={domain},{SEARCH_BASE}\nobjectClass: organization\no: {domain}\n\n"


def honest(rng: random.Random) -> Question:
    """Something that a mail server would ask for."""
    return rng.choice(_HONEST)(rng)


def _account(rng: random.Random) -> Question:
    # Some are asked for all the time, the others now and then.
    number = rng.randrange(100) if rng.random() < 0.7 else rng.randrange(ACCOUNTS)
    return Question(MAILBOXES, address(number).encode(), Status.FOUND, mailbox(number).encode())


def _other_case(rng: random.Random) -> Question:
    question = _account(rng)
    return question._replace(key=question.key.upper())


def _extension(rng: random.Random) -> Question:
    question = _account(rng)
    local, _, domain = question.key.partition(b"@")
    return question._replace(key=b"%b+list%d@%b" % (local, rng.randrange(20), domain))


def _no_alias(rng: random.Random) -> Question:
    return Question(ALIASES, _account(rng).key, Status.NOT_FOUND)


def _alias(rng: random.Random) -> Question:
    number = rng.randrange(0, ACCOUNTS, PER_ALIAS)
    return Question(ALIASES, alias(number).encode(), Status.FOUND, address(number).encode())


def _domain(rng: random.Random) -> Question:
    name = domain_of(rng.randrange(ACCOUNTS)).encode()
    return Question(DOMAINS, name, Status.FOUND, name)


def _absent(rng: random.Random) -> Question:
    return Question(MAILBOXES, b"nobody%d@host0.example" % rng.randrange(50), Status.NOT_FOUND)


def _caught(rng: random.Random) -> Question:
    return Question(ALIASES, b"any%d@domain3.example" % rng.randrange(50), Status.FOUND, b"user3@domain3.example")


_HONEST: tuple[Callable[[random.Random], Question], ...] = (
    *(_account, _account, _account, _no_alias, _alias),
    *(_other_case, _extension, _domain, _absent, _caught),
)


def random_recipient(rng: random.Random) -> Question:
    """A recipient that does not exist, each time another."""
    return Question(MAILBOXES, b"%x@host1.example" % rng.getrandbits(64), Status.NOT_FOUND)


def random_extension(rng: random.Random) -> Question:
    """``user+N@`` of an account, each time another."""
    return Question(
        MAILBOXES, b"user1+%x@domain1.example" % rng.getrandbits(64), Status.FOUND, b"domain1.example/user1/"
    )


def big_catch_all(rng: random.Random) -> Question:
    """Caught by an alias of some 90,000 bytes."""
    return Question(ALIASES, b"%x@%b" % (rng.getrandbits(64), BIG_DOMAIN.encode()), Status.FOUND, _BIG)


def long_key(rng: random.Random) -> Question:
    """A key of 9,000 bytes."""
    return Question(MAILBOXES, b"%x@host2.example" % rng.getrandbits(9000 * 4), Status.NOT_FOUND)


def unknown_map(rng: random.Random) -> Question:
    """A map that there is not."""
    return Question(b"map%x" % rng.getrandbits(64), b"user1@domain1.example", Status.PERMANENT)


def huge_entry(rng: random.Random) -> Question:
    """An alias whose values do not fit into a reply: TEMP is the only right answer."""
    mixed = "".join(rng.choice((letter, letter.upper())) for letter in f"huge@{BIG_DOMAIN}")
    return Question(ALIASES, mixed.encode(), Status.TEMPORARY)


_BIG = ",".join(big_drops()).encode()

"""What a site of any size needs, worked out from what was measured here: ``python -m benchmarks model``.

The sums, for M mailboxes, R messages a second and N mail hosts that share them evenly:

- a message makes ``lookups`` lookups in vmaild, of which a share h is answered from the cache, and 1 - h by a search;
- CPU of vmaild: lookups * (h * hit + (1 - h) * miss); one process, so at most one core of each host, and at most
  ``USE`` of it. CPU of the consumer: (1 - h) * lookups * search + what virtual(8) asks itself. CPU of Postfix: as is;
- h follows from how often each mailbox gets mail. Mailboxes differ: the k-th busiest gets a share like
  1 / k ** ``skew`` (0: all the same). On one host mailbox k is asked for at the rate r(k) = R * share(k) / N, and stays
  in the cache for T seconds from its last search: a day, or less when there is no room. T follows from the room (Che's
  approximation: the sum over k of r T / (1 + r T) is the number of records). h is that of share(k) * r T / (1 + r T);
- memory of vmaild: what a start takes, and bytes for each domain and each record. Memory of a consumer: its database,
  all of which should fit into the page cache, and what slapd itself uses;
- a change costs each vmaild ``change`` of CPU, and each consumer a write.

Terms come from ``scale.json`` of ``python -m benchmarks scale`` (its last size), assumptions from the options.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.report.output import ROOT, new_parser
from benchmarks.report.rows import Result

USE = 0.5
"""Share of a core, or of a host's cores, that is used at the rate that is planned for: the rest is for peaks."""
LONGEST = 86_400_000
"""A day, which a record lives: milliseconds."""
MOST_HOSTS = 10_000


class Terms(NamedTuple):
    """What was measured: lookups of a message, then CPU in seconds, then memory in bytes."""

    lookups: float
    hit: float
    miss: float
    search: float
    postfix: float
    own_search: float
    change: float
    start: float
    domain: float
    record: float
    entry: float

    @classmethod
    def of(cls, result: Result) -> Terms:
        """From the result of ``scale``: from its largest size, and what grows from its smallest one too."""
        rows = {(row["clients"], row["section"], row["name"]): row["figures"] for row in result["rows"]}
        small, large = (pick(size for size, _, _ in rows) for pick in (min, max))
        start, first = (rows[size, "steps", "all domains known"] for size in (large, small))
        hit, miss, message = (rows[large, name, "vmaild"] for name in ("hit", "miss", "message"))
        bulk, fill, loaded = (rows[large, "steps", name] for name in ("bulk change", "fill", "load into slapd"))
        cpu = [hit["cpu server"], miss["cpu server"], miss["cpu slapd"], message["cpu postfix"], message["cpu slapd"]]
        cpu.append(bulk["cpu in all"] / bulk["heard"])
        grown, domains = start["resident"] - first["resident"], start["domains"] - first["domains"]
        record = (fill["resident"] - start["resident"]) / fill["kept"]
        memory = first["resident"], grown / domains if domains else 0.0, record, loaded["disk"] / large
        return cls(message["lookups a message"], *(each / 1e3 for each in cpu), *memory)


class Load(NamedTuple):
    """What is asked of the site: mailboxes, and how many of them in each domain; messages and changes a second.

    Mail hosts and the cores of each; the most records of each vmaild (``[cache] max_entries``), 0 for no bound.
    """

    mailboxes: float = 10e6
    per_domain: float = 20.0
    messages: float = 10e3
    changes: float = 100.0
    skew: float = 0.8
    hosts: int = 0
    cores: int = 8
    records: float = 0.0


class Needs(NamedTuple):
    """Of each host: ``kept`` records in the cache, each for ``age`` seconds; a second; cores; and bytes."""

    kept: float
    age: float
    lookups: float
    searches: float
    vmaild: float
    slapd: float
    postfix: float
    memory: float
    database: float

    @property
    def cores(self) -> float:
        return self.vmaild + self.slapd + self.postfix


def needs(terms: Terms, load: Load) -> Needs:
    per_host = load.messages / load.hosts
    counts, shares = ranks(load.mailboxes, load.skew)

    def kept(milliseconds: int) -> Any:
        """Of each mailbox, the share of time in which it is in the cache."""
        asked = shares * per_host * milliseconds / 1e3
        return asked / (1.0 + asked)

    age = bisect_right(range(LONGEST), load.records or load.mailboxes, key=lambda age: float(counts @ kept(age)))
    records, lookups = float(counts @ kept(age)), per_host * terms.lookups
    # Of a message's lookups those for the domains are always answered by the set; a miss is one search for the rest.
    searches = per_host * (1.0 - float((counts * shares) @ kept(age)))
    return Needs(
        records, age / 1e3, lookups, searches,
        vmaild=(lookups - searches) * terms.hit + searches * terms.miss + load.changes * terms.change,
        slapd=searches * terms.search + per_host * terms.own_search,
        postfix=per_host * terms.postfix,
        memory=terms.start + load.mailboxes / load.per_domain * terms.domain + records * terms.record,
        database=load.mailboxes * terms.entry,
    )  # fmt: skip


def ranks(mailboxes: float, skew: float) -> tuple[Any, Any]:
    """Mailboxes in groups of about the same rank: how many, and which share of all mail each of them gets."""
    edges = np.unique(np.floor(np.geomspace(1.0, mailboxes, 2 + int(100 * math.log10(mailboxes)))))
    counts = np.diff(edges, prepend=0.0)
    # The rank in the middle of a group stands for all of it.
    weights = (edges - (counts - 1.0) / 2) ** -skew
    return counts, weights / (counts @ weights)


def hosts_for(terms: Terms, load: Load) -> int:
    """The least number of hosts at which no vmaild uses more than ``USE`` of a core, and no host more of its cores."""
    for hosts in range(1, MOST_HOSTS):
        one = needs(terms, load._replace(hosts=hosts))
        if one.vmaild <= USE and one.cores <= USE * load.cores:
            return hosts
    raise SystemExit(f"model: {MOST_HOSTS:,} hosts would be too few")


def page(terms: Terms, load: Load) -> str:
    one = needs(terms, load)
    hit, miss, search, postfix, own_search, change = (f"{seconds * 1e6:,.0f} us" for seconds in terms[1:7])
    rows = {
        "lookups of a message": f"{terms.lookups:.1f}",
        "CPU of vmaild for a lookup that is cached, and one that is not": f"{hit}, {miss}",
        "CPU of slapd for a search": search,
        "CPU of Postfix for a message": postfix,
        "CPU of slapd for what virtual(8) asks itself": own_search,
        "CPU of vmaild for a change": change,
        "memory of vmaild: start": f"{terms.start / 1e6:.0f} MB",
        "memory of vmaild: a domain, a record": f"{terms.domain:.0f}, {terms.record:.0f} bytes",
        "database of a consumer, for each account": f"{terms.entry:.0f} bytes",
        "": "",
        "mailboxes, domains": f"{load.mailboxes:,.0f}, {load.mailboxes / load.per_domain:,.0f}",
        "messages a second, changes a second": f"{load.messages:,.0f}, {load.changes:,.0f}",
        "skew": f"{load.skew}",
        f"mail hosts of {load.cores} cores": f"{load.hosts}",
        "of each: lookups a second": f"{one.lookups:,.0f}",
        "of each: records in the cache, for how long": f"{one.kept:,.0f}, {one.age / 3600:.1f} h",
        "of each: lookups without a search": f"{1 - one.searches / one.lookups:.1%}",
        "of each: searches a second": f"{one.searches:,.0f}",
        "of each: cores for vmaild, slapd, Postfix": ", ".join(f"{cores:.2f}" for cores in one[4:7]),
        "of each: memory of vmaild": f"{one.memory / 1e9:.2f} GB",
        "of each: database of the consumer": f"{one.database / 1e9:.1f} GB",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}".rstrip() for name, value in rows.items())


def main(argv: Sequence[str]) -> int:
    parser = new_parser("model", __doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/scale.json")
    for name, default in Load()._asdict().items():
        text = f"(default: {default:g}{', the least number that will do' if name == 'hosts' else ''})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, metavar="N", help=text)
    options = vars(parser.parse_args(argv))
    terms = Terms.of(json.loads(options.pop("results").read_text()))
    load = Load(**options)
    print(page(terms, load if load.hosts else load._replace(hosts=hosts_for(terms, load))))
    return 0

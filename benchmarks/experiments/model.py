"""What a site of any size needs, worked out from what was measured here. README.md has the sums."""

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.report.output import ROOT, new_parser
from benchmarks.report.rows import Figures, Result

USE = 0.5
"""Share of a core, or of a host's cores, that is used at the rate that is planned for: the rest is for peaks."""
LONGEST = 86_400_000
"""A day, which a record lives: milliseconds."""
MOST_HOSTS = 10_000


def terms_of(result: Result) -> Figures:
    """What ``scale`` has measured, from its largest size and what grows from its smallest one; CPU in seconds."""
    rows = {(row["clients"], row["section"], row["name"]): row["figures"] for row in result["rows"]}
    small, large = (pick(size for size, _, _ in rows) for pick in (min, max))
    start, first = (rows[size, "steps", "all domains known"] for size in (large, small))
    hit, miss, message = (rows[large, name, "vmaild"] for name in ("hit", "miss", "message"))
    bulk, fill, loaded = (rows[large, "steps", name] for name in ("bulk change", "fill", "load into slapd"))
    grown, domains = start["resident"] - first["resident"], start["domains"] - first["domains"]
    cpu = {
        "hit": hit["cpu server"], "miss": miss["cpu server"], "search": miss["cpu slapd"],
        "postfix": message["cpu postfix"], "own search": message["cpu slapd"],
        "change": bulk["cpu in all"] / bulk["heard"],
    }  # fmt: skip
    memory = {
        "start": first["resident"], "domain": grown / domains if domains else 0.0,
        "record": (fill["resident"] - start["resident"]) / fill["kept"], "entry": loaded["disk"] / large,
    }  # fmt: skip
    return {"lookups": message["lookups a message"], **{name: each / 1e3 for name, each in cpu.items()}, **memory}


class Load(NamedTuple):
    """What is asked of the site: messages and changes are a second; 0 ``records`` (``max_entries``) for no bound."""

    mailboxes: float = 10e6
    per_domain: float = 20.0
    messages: float = 10e3
    changes: float = 100.0
    skew: float = 0.8
    hosts: int = 0
    cores: int = 8
    records: float = 0.0


def needs(terms: Figures, load: Load) -> Figures:
    """Of each host: ``kept`` records, each for ``age`` seconds; lookups and searches a second; cores; and bytes."""
    per_host = load.messages / load.hosts
    counts, shares = ranks(load.mailboxes, load.skew)

    def kept(milliseconds: int) -> Any:
        """Of each mailbox, the share of time in which it is in the cache."""
        asked = shares * per_host * milliseconds / 1e3
        return asked / (1.0 + asked)

    age = bisect_right(range(LONGEST), load.records or load.mailboxes, key=lambda age: float(counts @ kept(age)))
    records, lookups = float(counts @ kept(age)), per_host * terms["lookups"]
    # Of a message's lookups those for the domains are always answered by the set; a miss is one search for the rest.
    searches = per_host * (1.0 - float((counts * shares) @ kept(age)))
    cpu = (lookups - searches) * terms["hit"] + searches * terms["miss"] + load.changes * terms["change"]
    slapd, postfix = searches * terms["search"] + per_host * terms["own search"], per_host * terms["postfix"]
    memory = terms["start"] + load.mailboxes / load.per_domain * terms["domain"] + records * terms["record"]
    return {
        "kept": records, "age": age / 1e3, "lookups": lookups, "searches": searches,
        "vmaild": cpu, "slapd": slapd, "postfix": postfix, "cores": cpu + slapd + postfix,
        "memory": memory, "database": load.mailboxes * terms["entry"],
    }  # fmt: skip


def ranks(mailboxes: float, skew: float) -> tuple[Any, Any]:
    """Mailboxes in groups of about the same rank: how many, and which share of all mail each of them gets."""
    edges = np.unique(np.floor(np.geomspace(1.0, mailboxes, 2 + int(100 * math.log10(mailboxes)))))
    counts = np.diff(edges, prepend=0.0)
    # The rank in the middle of a group stands for all of it.
    weights = (edges - (counts - 1.0) / 2) ** -skew
    return counts, weights / (counts @ weights)


def hosts_for(terms: Figures, load: Load) -> int:
    """The least number of hosts at which no vmaild uses more than ``USE`` of a core, and no host more of its cores."""
    for hosts in range(1, MOST_HOSTS):
        one = needs(terms, load._replace(hosts=hosts))
        if one["vmaild"] <= USE and one["cores"] <= USE * load.cores:
            return hosts
    raise SystemExit(f"model: {MOST_HOSTS:,} hosts would be too few")


def page(terms: Figures, load: Load) -> str:
    one = needs(terms, load)
    cpu = {name: f"{seconds * 1e6:,.0f} us" for name, seconds in terms.items()}
    rows = {
        "lookups of a message": f"{terms['lookups']:.1f}",
        "CPU of vmaild: a lookup that is cached, one that is not, a change": "{hit}, {miss}, {change}".format(**cpu),
        "CPU of slapd: a search, what virtual(8) asks itself": f"{cpu['search']}, {cpu['own search']}",
        "CPU of Postfix for a message": cpu["postfix"],
        "memory of vmaild: start": f"{terms['start'] / 1e6:.0f} MB",
        "memory of vmaild: a domain, a record": "{domain:.0f}, {record:.0f} bytes".format(**terms),
        "database of a consumer, for each account": f"{terms['entry']:.0f} bytes",
        "": "",
        "mailboxes, domains": f"{load.mailboxes:,.0f}, {load.mailboxes / load.per_domain:,.0f}",
        "messages a second, changes a second": f"{load.messages:,.0f}, {load.changes:,.0f}",
        "skew": f"{load.skew}",
        f"mail hosts of {load.cores} cores": f"{load.hosts}",
        "of each: lookups a second": f"{one['lookups']:,.0f}",
        "of each: records in the cache, for how long": f"{one['kept']:,.0f}, {one['age'] / 3600:.1f} h",
        "of each: lookups without a search": f"{1 - one['searches'] / one['lookups']:.1%}",
        "of each: searches a second": f"{one['searches']:,.0f}",
        "of each: cores for vmaild, slapd, Postfix": "{vmaild:.2f}, {slapd:.2f}, {postfix:.2f}".format(**one),
        "of each: memory of vmaild": f"{one['memory'] / 1e9:.2f} GB",
        "of each: database of the consumer": f"{one['database'] / 1e9:.1f} GB",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}".rstrip() for name, value in rows.items())


def main(argv: Sequence[str]) -> int:
    parser = new_parser("model")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/scale.json")
    for name, default in Load()._asdict().items():
        text = f"(default: {default:g}{', the least number that will do' if name == 'hosts' else ''})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, metavar="N", help=text)
    options = vars(parser.parse_args(argv))
    terms = terms_of(json.loads(options.pop("results").read_text()))
    load = Load(**options)
    print(page(terms, load if load.hosts else load._replace(hosts=hosts_for(terms, load))))
    return 0

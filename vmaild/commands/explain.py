"""``vmaild explain ADDRESS``: every map's answer and how it came about, then where mail to the address ends.

The daemon is asked, ``--direct`` the directory itself. The directory's word of this moment is told, and beside it what
the cache holds, which is what Postfix gets while it is fresh. Where mail ends is worked out from the maps called
``virtual_alias_maps``, ``virtual_mailbox_domains`` and ``virtual_mailbox_maps``, and from mydestination and the limits
of Postfix where its main.cf is at hand.

Exit status: 0; 75 when a map fails, or mail would wait; 69 the daemon is not there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vmaild import admin, daemon
from vmaild.commands.cached import age, ends
from vmaild.commands.mail_route import Ends, Fails, Recipient, Site, route, values_of
from vmaild.commands.output import Style, escape, style_for
from vmaild.commands.session import configuration, control_path, print_json
from vmaild.config import Config
from vmaild.postfix.files import read_site
from vmaild.postfix.tables import words
from vmaild.process import open_log

Json = dict[str, Any]
Ask = Callable[[str, str, str], Json]
"""Asks ``query`` or ``explain`` of a map and a key."""

ALIASES, DOMAINS, MAILBOXES = "virtual_alias_maps", "virtual_mailbox_domains", "virtual_mailbox_maps"


def run(options: argparse.Namespace) -> int:
    """Ask and print."""
    config = configuration(options)
    if options.direct:
        with open_log(sys.stderr, "error"), asyncio.Runner() as runner:
            opened = daemon.console_of(config)
            console = runner.run(opened.__aenter__())
            try:
                return _explain(config, options, lambda *words: runner.run(_of_console(console, *words)))
            finally:
                runner.run(opened.__aexit__(None, None, None))
    path = control_path(options)
    return _explain(config, options, lambda *words: admin.ask(path, *map(os.fsencode, words)))


async def _of_console(console: admin.Console, verb: str, name: str, key: str) -> Json:
    asked = console.query if verb == "query" else console.explain
    return await asked(os.fsencode(name), os.fsencode(key))


def _explain(config: Config, options: argparse.Namespace, ask: Ask) -> int:
    maps = [ask("explain", name, _key(config, name, options.address)) for name in config.maps.tables]
    ended = route(options.address, _site(config, options.postfix, ask))
    if options.json:
        print_json({"maps": maps, "ends": [_as_json(one) for one in ended]})
    else:
        print("\n".join(page(maps, ended, style_for())))
    waits = any(one.ends in (Ends.WAITS, Ends.LOOP) for one in ended)
    return os.EX_TEMPFAIL if waits or any(told["failure"] for told in maps) else os.EX_OK


def _key(config: Config, name: str, address: str) -> str:
    """What Postfix asks the map for, when mail comes for the address."""
    keys = config.maps.tables[name].settings.keys
    return address.rpartition("@")[2] if keys == "domain" else address


def _as_json(one: Recipient) -> Json:
    return {"address": one.address, "ends": one.ends.value, "text": one.text, "way": list(one.way)}


# --- where mail ends ----------------------------------------------------------------------------------------------


def _site(config: Config, directory: Path, ask: Ask) -> Site:
    def answer(name: str, key: str) -> str:
        if name not in config.maps.tables:
            return ""
        told = ask("query", name, key)
        if told["status"] not in ("OK", "NOTFOUND"):
            raise Fails(f"{name}: {told['cause']}")
        return str(told["text"])

    site = Site(
        lookup=lambda address: values_of(answer(ALIASES, address)),
        hosted=lambda domain: bool(answer(DOMAINS, domain)),
        mailbox=lambda address: answer(MAILBOXES, address),
    )
    return _with_postfix(site, directory)


def _with_postfix(site: Site, directory: Path) -> Site:
    """The same with what main.cf says, where there is one."""
    try:
        main = read_site(directory).main
        local = [word.casefold() for word in words(main.value("mydestination")) if ":" not in word and "/" not in word]
        site.local = frozenset(["localhost", *local])
        site.origin = main.value("myorigin") or main.value("myhostname") or site.origin
        limits = (main.value("virtual_alias_expansion_limit"), main.value("virtual_alias_recursion_limit"))
    except (OSError, ValueError):
        return site
    site.local |= {site.origin.casefold()} if not local else frozenset()
    site.expansion_limit = int(limits[0]) if limits[0].isdigit() else site.expansion_limit
    site.recursion_limit = int(limits[1]) if limits[1].isdigit() else site.recursion_limit
    return site


# --- printing -----------------------------------------------------------------------------------------------------


def page(maps: list[Json], ended: list[Recipient], style: Style) -> list[str]:
    """The lines: a part for each map, then where mail ends."""
    lines: list[str] = []
    shown: dict[str, str] = {}
    for told in maps:
        lines += [*_map(told, shown, style), ""]
    lines.append(style.title("Where mail to it ends"))
    for one in ended:
        way = " -> ".join([*one.way, one.address])
        lines.append(f"  {_end(one, style)}: {escape(way)}")
        lines.append(f"      {escape(one.text)}")
    return lines


def _end(one: Recipient, style: Style) -> str:
    if one.ends in (Ends.MAILBOX, Ends.LOCAL, Ends.REMOTE):
        return style.good(one.ends.value)
    return style.bad(one.ends.value.upper())


def _map(told: Json, shown: dict[str, str], style: Style) -> list[str]:
    answer = style.bad(f"TEMP {escape(told['failure'])}") if told["failure"] else escape(told["answer"])
    lines = [f"{style.title(told['map'])}  {escape(told['key'])}: {answer}"]
    lines += [f"  {style.bad(escape(text))}" for text in told["servers"]]
    if told["search_keys"]:
        lines.append(f"  search keys: {escape(', '.join(told['search_keys']))}")
    for search in told["searches"]:
        lines += _search(search, told["map"], shown, style)
    lines.append(f"  decided by: {_decided(told)}")
    if told["missing_canaries"]:
        lines.append(f"  {style.bad('canary missing')}: {escape(', '.join(told['missing_canaries']))}")
    lines += [f"  warning: {escape(text)}" for text in told["warnings"]]
    lines.append(f"  {_cached(told)}")
    return lines


def _search(search: Json, name: str, shown: dict[str, str], style: Style) -> list[str]:
    head = f"{search['scope']} {escape(search['base'])} {escape(search['filter'])}"
    before = shown.setdefault(repr([head, search["entries"], search["failure"]]), name)
    if before != name:
        return [f"  search: as for {before}"]
    if search["failure"]:
        return [f"  search: {head}", f"    {style.bad(escape(search['failure']))}"]
    lines = [
        f"  search: {head}",
        f"    asks for {', '.join(search['attributes']) or 'nothing'};"
        f" entries: {search['count']}, in {search['seconds'] * 1000:.1f} ms",
    ]
    for entry in search["entries"]:
        lines.append(f"    {escape(entry['dn'])}")
        for attribute, values in entry["attributes"].items():
            if attribute != "objectclass":
                lines.append(f"      {attribute}: {escape(', '.join(values))}")
    return lines


def _decided(told: Json) -> str:
    decided = told["decided"]
    if told["guarded"]:
        text = "the guard: this data must not be used"
    elif told["failure"]:
        text = "a failure, which is never NOTFOUND"
    elif decided is None:
        return "no query found an entry" if told["searches"] else "the key alone: nothing is asked for it"
    else:
        text = f"query {decided['query']} for {escape(decided['search_key'])}"
    return f"{text}, entry {escape(decided['entry'])}" if decided else text


def _cached(told: Json) -> str:
    record = told["cached"]
    if record is None:
        return "cached: no"
    known = escape(record["maps"].get(told["map"], ""))
    return f"cached: {record['state']}, stored {age(record)} ago, {ends(record)}: {known}"

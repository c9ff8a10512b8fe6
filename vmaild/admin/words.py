"""The state of the daemon in words: what ``vmaild status`` and the page ``/`` have in common. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def duration(seconds: float) -> str:
    """``3 d 4 h``, ``4 min 10 s``: the two largest units."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or (unit == "s" and not parts):
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def latency(seconds: float | None) -> str:
    """The bound of a bucket: ``25 us``, ``1 ms``; a dash without one."""
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:g} us"
    return f"{seconds * 1e3:g} ms" if seconds < 1 else f"{seconds:g} s"


def bytes_in_words(number: float) -> str:
    """``3.4 MB``."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def percent(share: float | None) -> str:
    """``99.1 %``; a dash without a share. Nothing but all is 100 %."""
    if share is None:
        return "-"
    return "100 %" if share == 1 else f"{min(share * 100, 99.9):.1f} %"


def count(number: int, singular: str, plural: str = "") -> str:
    """``1 map``, ``2,000 maps``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def readiness_in_words(state: Mapping[str, Any]) -> str:
    """Whether lookups are answered, and whether by a server."""
    if not state["ready"]:
        return "NOT READY"
    return "ready" if any(server["up"] for server in state["servers"]) else "ready, from the cache only"


def standing_in_words(server: Mapping[str, Any]) -> str:
    """What else there is to say of a server: ``, in use, slow (a probe takes 0.44 s)``."""
    text = ", in use" if server["current"] else ""
    if server.get("behind"):
        text += ", behind"
    if server.get("slow"):
        seconds = server.get("probe_seconds")
        text += ", slow" if seconds is None else f", slow (a probe takes {seconds:.2g} s)"
    return text


def error_in_words(server: Mapping[str, Any]) -> str:
    """The last error of a server, and when it was."""
    if server["failed_ago"] is None:
        return "no error yet"
    return f"last error {duration(server['failed_ago'])} ago: {server['last_error']}"


def feed_in_words(feed: Mapping[str, Any]) -> str:
    """How the directory's changes are followed."""
    mode = feed["mode"]
    if mode == "none":
        why = f" ({feed['why']})" if feed.get("why") else ""
        return f"not followed{why}; records age by their TTL"
    more = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in feed.items() if name != "mode")
    return f"followed by {mode}{f': {more}' if more else ''}"


def cache_in_words(cache: Mapping[str, Any]) -> str:
    """How much is cached."""
    size = f"{bytes_in_words(cache['bytes'])} of {bytes_in_words(cache['max_bytes'])}"
    if cache["withheld"]:
        size += f", of which {bytes_in_words(cache['withheld'])} stay unused"
    if cache["resident"] is not None:
        size += f" (the process holds {bytes_in_words(cache['resident'])})"
    return (
        f"{count(cache['records'], 'record')}, about {size}; {cache['positive']:,} of {cache['max_positive']:,} found,"
        f" {cache['negative']:,} of {cache['max_negative']:,} not found; {count(cache['stale'], 'stale answer')} given"
    )

"""What Postfix's own ``ldap:`` table answers, through ``postmap -q``.

``postmap -q -`` ends at the first key that fails, loses what it had found until then, and pauses for a second. So keys
go to it in batches, and those of a batch that failed are asked one by one, side by side.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from vmaild import lookup
from vmaild.lookup import NOT_FOUND, Reply

BATCH = 200
"""Keys for one process: what is asked again when one of them fails."""
AT_ONCE = 16
"""Processes side by side; one that failed only sleeps."""
SECONDS = 600.0
"""For one process: Postfix's timeout holds for each search."""


class NoPostmap(Exception):
    """There is no postmap, or it cannot use the table; the text says why."""


@dataclass(frozen=True, slots=True)
class Postmap:
    """``postmap``, with the configuration directory ``config`` unless that is empty."""

    config: str = ""

    def answers(self, table: str, keys: Sequence[str], step: Callable[[int], None]) -> dict[str, Reply]:
        """The answer of ``ldap:table`` to each key; ``step`` gets how many were asked. Raises ``NoPostmap``."""
        found: dict[str, Reply] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for start in range(0, len(keys), BATCH):
                batch = list(keys[start : start + BATCH])
                together = self._together(table, [key for key in batch if not set(key) & set("\n\t\0")])
                alone = [key for key in batch if key not in together]
                found |= together
                found |= zip(alone, pool.map(lambda key: self._alone(table, key), alone), strict=True)
                step(len(batch))
        return found

    def _together(self, table: str, keys: list[str]) -> dict[str, Reply]:
        """``postmap -q -``; nothing when a key failed, or an answer cannot be told from the next."""
        done = self._run(["-q", "-", f"ldap:{table}"], "".join(f"{key}\n" for key in keys).encode())
        if b"fatal:" in done.stderr:
            return {}
        found = dict.fromkeys(keys, NOT_FOUND)
        for line in done.stdout.removesuffix(b"\n").split(b"\n"):
            key, tab, value = line.partition(b"\t")
            if tab and value and key.decode(errors="replace") in found:
                found[key.decode()] = lookup.found(value)
            elif line:
                return {}
        return found

    def _alone(self, table: str, key: str) -> Reply:
        done = self._run(["-q", key.replace("\0", ""), f"ldap:{table}"], b"")
        if done.returncode == 0 and done.stdout.strip():
            return lookup.found(done.stdout.removesuffix(b"\n"))
        if b"fatal:" not in done.stderr:
            return NOT_FOUND
        said = done.stderr.decode(errors="replace")
        if "query error" not in said:
            raise NoPostmap(said.strip().splitlines()[-1])
        return lookup.temporary("query error")

    def _run(self, arguments: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        program = shutil.which("postmap") or shutil.which("postmap", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise NoPostmap("postmap is not installed here")
        command = [program, *(["-c", self.config] if self.config else []), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=SECONDS)

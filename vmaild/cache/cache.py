"""The cache: which answer serves, and when the directory is asked. The ages are explained in ``vmaild.cache``."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable

from vmaild.cache.answer import Answer
from vmaild.cache.counters import CacheCounters, Tally
from vmaild.cache.flights import Flights, Search
from vmaild.cache.settings import JITTER_SHARE, PREFETCH_SHARE, CacheSettings
from vmaild.cache.store import Answers
from vmaild.errors import DirectoryFailure, LookupFailure
from vmaild.lookup import Reply, Status
from vmaild.wire import netstring, socketmap

# The ages of answers are kept to an eighth of a second, so that a million answers share a few thousand moments.
INSTANTS_PER_SECOND = 8
# Moments remembered for that: those of ten minutes.
INSTANTS = 4800


class Cache:
    """Answers by key, where a key is map name, space and key, with ASCII letters lower-case.

    ``clock`` counts seconds and never goes back; ``jitter`` gives numbers from 0 up to 1.
    """

    def __init__(
        self,
        settings: CacheSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings or CacheSettings()
        self.counters = CacheCounters()
        self._clock = clock
        self._jitter = jitter
        self._flights = Flights()
        self._tallies: dict[tuple[bytes, Status, bool, bool], Tally] = {}
        self._flushed_at = float("-inf")
        self._answers = Answers(self.settings.max_entries, self.settings.max_negative_entries)
        self._instants: dict[float, float] = {}
        self.known: Callable[[bytes], Answer | None] = self._answers.__getitem__
        """The answer for a frame, which is the folded key as a netstring: the hot path. It serves until its
        ``refresh_at``."""

    def fresh(self, key: bytes, now: float) -> Answer | None:
        """The answer for ``key`` if it serves at the time ``now`` without more ado."""
        answer = self._answer(key)
        if answer is not None and now < answer.refresh_at:
            return answer
        return None

    async def answer(self, key: bytes, search: Search) -> Reply:
        """The reply for ``key``, from the cache or by ``search``, which asks the directory.

        ``search`` raises DirectoryFailure when the directory fails; then a stale answer serves, else it is raised
        again. Whatever else it raises is raised again.
        """
        now = self._clock()
        answer = self._answer(key)
        if answer is None or now >= self._usable_until(answer):
            self.counters.misses += 1
            self.counters.shared += self._flights.under_way(key)
            return await self._flights.join(key, self._learning(key, search))
        if now >= answer.refresh_at:
            if now >= answer.expires_at:
                self.counters.expired += 1
                self.counters.shared += self._flights.under_way(key)
                return await self._renewed_or_stale(key, self._learning(key, search))
            self._prefetch(key, answer, search)
        return _given(answer)

    def learn(self, key: bytes, reply: Reply, asked_at: float | None = None) -> None:
        """Store what the directory said for ``key``. A failure is not stored.

        ``asked_at`` is the clock's time when the directory was asked: what it was asked before a flush is not
        stored, or the flush would bring nothing.
        """
        if not reply.authoritative or (asked_at is not None and asked_at <= self._flushed_at):
            return
        frame = netstring.encode(key)
        if socketmap.sendable(reply) and socketmap.fits(reply):
            self._store(key, frame, reply, self._clock())
        else:
            self._answers.discard(frame)

    def flush(self, map_name: bytes | None = None, key: bytes | None = None) -> int:
        """Forget the answer for one key of a map, or all of a map, or all. Returns how many there were."""
        self._flushed_at = self._clock()
        if map_name is None:
            self._flights.disown(lambda _: True)
            count = len(self._answers)
            self._answers.clear()
            return count
        name = map_name.lower()
        prefix = name + b" "
        if key is None:
            self._flights.disown(lambda known: known.startswith(prefix))
            return self._answers.discard_all(lambda answer: answer.tally.map_name == name)
        folded = prefix + key.lower()
        self._flights.disown(folded.__eq__)
        return self._answers.discard(netstring.encode(folded))

    def forget_not_found(self, map_name: bytes) -> int:
        """Forget the map's "not found" answers that no entry stands behind. Returns how many there were."""
        name = map_name.lower()
        return self._answers.discard_all(lambda answer: not answer.tally.backed and answer.tally.map_name == name)

    async def close(self) -> None:
        """Stop the searches in the background."""
        await self._flights.close()

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self._answers)

    @property
    def tallies(self) -> Iterable[Tally]:
        """Who counts the answers given, one for each kind of answer of each map."""
        return self._tallies.values()

    @property
    def entries(self) -> dict[bool, int]:
        """How many answers there are, by ``backed``."""
        return self._answers.counts

    @property
    def searches(self) -> int:
        """How many searches are under way."""
        return len(self._flights)

    def _answer(self, key: bytes) -> Answer | None:
        return self._answers[netstring.encode(key)]

    def _usable_until(self, answer: Answer) -> float:
        return answer.expires_at + self.settings.stale_for(answer.tally.backed)

    def _learning(self, key: bytes, search: Search) -> Search:
        """``search``, with what it brings stored and its failure noted."""

        async def learning() -> Reply:
            asked_at = self._clock()
            try:
                reply = await search()
            except LookupFailure as failure:
                self._note_failure(key, failure)
                raise
            self.learn(key, reply, asked_at)
            return reply

        return learning

    def _prefetch(self, key: bytes, answer: Answer, search: Search) -> None:
        self.counters.prefetches += 1
        # Those who come after are answered on the hot path until the search brings something.
        answer.refresh_at = answer.expires_at
        self._flights.start(key, self._learning(key, search))

    async def _renewed_or_stale(self, key: bytes, search: Search) -> Reply:
        # In the background, so that the search goes on when this lookup has waited long enough.
        self._flights.start(key, search)
        try:
            async with asyncio.timeout(self.settings.stale_answer_after) as patience:
                return await self._flights.join(key, search)
        except (DirectoryFailure, TimeoutError) as failure:
            late = patience.expired()
            stale = self._stale(key) if late or isinstance(failure, DirectoryFailure) else None
            if stale is None and not late:
                raise
        if stale is None:
            return await self._flights.join(key, search)
        self.counters.slow += late
        return _given(stale)

    def _stale(self, key: bytes) -> Answer | None:
        """The answer for ``key`` that serves in place of the directory, and will do so at once for a while."""
        answer = self._answer(key)
        now = self._clock()
        if answer is None or now >= self._usable_until(answer):
            return None
        self._put_off(answer, now)
        return answer

    def _note_failure(self, key: bytes, failure: LookupFailure) -> None:
        self.counters.failures += 1
        answer = self._answer(key)
        if answer is None:
            return
        if isinstance(failure, DirectoryFailure):
            self._put_off(answer, self._clock())
        else:
            # The directory did answer, and what it said for this key now must not be used. The old answer no
            # longer holds either.
            self._answers.discard(answer.frame)

    def _put_off(self, answer: Answer, now: float) -> None:
        """Let ``answer`` serve without a search for ``failure_recheck``, unless it is good for longer."""
        if now < answer.refresh_at < answer.expires_at:
            return
        until = now + self.settings.failure_recheck
        answer.refresh_at = min(until, self._usable_until(answer))
        if until > answer.expires_at:
            tally = answer.tally
            answer.tally = self._tally(tally.map_name, tally.status, tally.backed, stale=True)

    def _store(self, key: bytes, frame: bytes, reply: Reply, now: float) -> None:
        life = self.settings.ttl if reply.backed else self.settings.negative_ttl
        life *= 1 - JITTER_SHARE * self._jitter()
        refresh_at, expires_at = self._instant(now + life * (1 - PREFETCH_SHARE)), self._instant(now + life)
        tally = self._tally(key.partition(b" ")[0], reply.status, reply.backed, stale=False)
        self.counters.learnt += 1
        answer = self._answers[frame]
        if answer is not None and answer.tally.backed == reply.backed:
            answer.renew(reply, tally, refresh_at, expires_at)
        else:
            self._add(Answer(frame, reply, tally, refresh_at, expires_at), now)

    def _instant(self, moment: float) -> float:
        """``moment``, a little earlier and as an object that many answers share: two of their own take 64 bytes."""
        if len(self._instants) >= INSTANTS:
            self._instants.clear()
        moment = math.floor(moment * INSTANTS_PER_SECOND) / INSTANTS_PER_SECOND
        return self._instants.setdefault(moment, moment)

    def _add(self, answer: Answer, now: float) -> None:
        evicted = self._answers.add(answer, now)
        if answer.tally.backed:
            self.counters.evicted += evicted
        else:
            self.counters.evicted_not_found += evicted

    def _tally(self, map_name: bytes, status: Status, backed: bool, *, stale: bool) -> Tally:
        kind = (map_name, status, backed, stale)
        tally = self._tallies.get(kind)
        if tally is None:
            tally = self._tallies[kind] = Tally(*kind)
        return tally


def _given(answer: Answer) -> Reply:
    answer.tally.hits += 1
    answer.tally.late += 1
    return answer.reply

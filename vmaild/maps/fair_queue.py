"""Lookups that wait for the directory: the client with fewest goes first. Pure: no clock, nothing asynchronous.

Each client (a ``Peer``) has a queue of its own. The next to go is the oldest of the peer that has fewest lookups,
waiting or begun; among those that have equally many they take turns. So one that asks for much waits for itself, and
one that asks now and then does not wait for it. Where too many wait, the newest goes of the peer that has most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Peer:
    """A client: a connection, or all connections from one address.

    ``count`` is how many lookups it has, waiting or begun; ``queue`` holds those that wait.
    """

    __slots__ = ("__weakref__", "count", "queue")

    def __init__(self) -> None:
        self.count = 0
        self.queue: deque[object] = deque()


class Owned(Protocol):
    """What waits: it is its peer's."""

    peer: Peer


T = TypeVar("T", bound=Owned)


class FairQueue(Generic[T]):
    """The queues of all peers. Every change of a ``count`` while its peer has some that wait goes through here."""

    def __init__(self) -> None:
        self._levels: dict[int, dict[Peer, None]] = {}
        """Peers with something in their queues by their counts; few have different ones."""
        self.size = 0
        """How many wait."""

    def __iter__(self) -> Iterator[T]:
        """All that wait."""
        for level in self._levels.values():
            for peer in level:
                yield from peer.queue  # type: ignore[misc]

    def push(self, item: T) -> None:
        """Let ``item`` wait. It is counted already."""
        peer = item.peer
        if not peer.queue:
            self._levels.setdefault(peer.count, {})[peer] = None
        peer.queue.append(item)
        self.size += 1

    def pop(self) -> T:
        """Take the next to go off the queue; its peer has it still. Raises IndexError when nobody waits."""
        if not self._levels:
            raise IndexError("nobody waits")
        count = min(self._levels)
        level = self._levels[count]
        peer = next(iter(level))
        item: T = peer.queue.popleft()  # type: ignore[assignment]
        self.size -= 1
        del level[peer]
        if peer.queue:
            level[peer] = None  # behind those that have as many
        elif not level:
            del self._levels[count]
        return item

    def remove(self, item: T) -> None:
        """Take ``item`` off the queue; its peer has it still, and those that have as many get their turn."""
        peer = item.peer
        self._leave_level(peer)
        peer.queue.remove(item)
        self.size -= 1
        self._enter_level(peer)

    def newest(self) -> T:
        """The newest of the peer that has most."""
        peer = next(iter(self._levels[max(self._levels)]))
        return peer.queue[-1]  # type: ignore[return-value]

    def count(self, peer: Peer, change: int) -> None:
        """The peer has so many more lookups, or fewer."""
        self._leave_level(peer)
        peer.count += change
        self._enter_level(peer)

    def give(self, item: T, peer: Peer) -> None:
        """Let ``item``, which waits, be the lookup of another peer, who wants it too."""
        self.remove(item)
        self.count(item.peer, -1)
        item.peer = peer
        self.count(peer, 1)
        self.push(item)

    def _leave_level(self, peer: Peer) -> None:
        if peer.queue:
            level = self._levels[peer.count]
            del level[peer]
            if not level:
                del self._levels[peer.count]

    def _enter_level(self, peer: Peer) -> None:
        if peer.queue:
            self._levels.setdefault(peer.count, {})[peer] = None

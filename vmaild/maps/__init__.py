"""From a request to its reply.

maps       what is known at once, and what must be looked up
flight     one key in flight, and all those in flight, few begun in a turn of the loop
landing    what comes of it: the record is stored, those who wait are answered; where exceptions become replies
freshness  what a change in the directory drops
origins    what records were made from
recent_changes, walk   parts of these
canaries   keys that must be found, or no "not found" is trusted
fair_queue  those that wait for the directory, the client with fewest first
samples    canaries by default: what was found lately must be found still
suspicion  "not found" that is not what it seems
counters   what is counted
latency    how long answers took
explain    one lookup past the cache, with every search as it was sent
"""

from vmaild.maps.canaries import Canaries
from vmaild.maps.counters import MapCounters
from vmaild.maps.explain import Explanation, Sent, explain
from vmaild.maps.fair_queue import Peer
from vmaild.maps.flight import Limits
from vmaild.maps.freshness import Freshness
from vmaild.maps.latency import LATENCY_BOUNDS, Latency, mixed, quantile
from vmaild.maps.maps import Map, Maps, Wanted

__all__ = [
    "LATENCY_BOUNDS",
    "Canaries",
    "Explanation",
    "Freshness",
    "Latency",
    "Limits",
    "Map",
    "MapCounters",
    "Maps",
    "Peer",
    "Sent",
    "Wanted",
    "explain",
    "mixed",
    "quantile",
]

"""From a request to its reply.

maps       what is known at once, and what must be looked up
flight     one key in flight, and all those in flight, few begun in a turn of the loop
landing    what comes of it: the record is stored, those who wait are told; where exceptions become replies
freshness  what a change in the directory drops
recent_changes, walk   parts of that
canaries   keys that must be found, or no "not found" is trusted
samples    canaries by default: what was found lately must be found still
counters   what is counted
"""

from vmaild.maps.canaries import Canaries
from vmaild.maps.counters import MapCounters
from vmaild.maps.freshness import Freshness
from vmaild.maps.maps import Maps, Wanted

__all__ = ["Canaries", "Freshness", "MapCounters", "Maps", "Wanted"]

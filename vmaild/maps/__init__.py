"""From a request to its reply.

maps       what is known at once, and what must be looked up
flight     one key in flight, and all those in flight, few begun in a turn of the loop
landing    what comes of it: the record is stored, those who wait are told; where exceptions become replies
canaries   keys that must be found, or no "not found" is trusted
fair_queue  those that wait for the directory, whoever has fewest first
counters   what is counted
"""

from vmaild.maps.canaries import Canaries
from vmaild.maps.counters import MapCounters
from vmaild.maps.fair_queue import Peer
from vmaild.maps.flight import Limits
from vmaild.maps.maps import Maps, Wanted

__all__ = ["Canaries", "Limits", "MapCounters", "Maps", "Peer", "Wanted"]

"""The maps: from a request to its reply, by way of the cache and the directory.

``Maps`` answers requests, ``Canaries`` decides whether a "not found" may be trusted, ``throttle`` lets few lookups
go on in one turn of the event loop.
"""

from vmaild.maps.canaries import Canaries
from vmaild.maps.maps import MapCounters, Maps

__all__ = ["Canaries", "MapCounters", "Maps"]

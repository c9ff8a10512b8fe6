"""The listeners: connections in, replies out, in order.

``Server`` opens the listeners and ends them, ``connection`` is one client, ``hot_path`` its short cut to the cache.
What is asked goes to ``lookups``, which is ``vmaild.maps.Maps`` or a fake.

Postfix keeps a connection per process and sends one request at a time over it. Such a request that the cache can
answer is answered from ``data_received`` itself. Everything else (requests in pieces, several in one segment, a
search) goes the longer way, on which answers wait in a queue so that they leave in order.

A client that sends what is no request gets the answers still pending, and then its connection is closed.
One that goes away does not stop the search it began: others may wait for it, and its answer is worth keeping.
"""

from vmaild.server.counters import LATENCY_BOUNDS, Latency, ServerCounters
from vmaild.server.server import Server
from vmaild.server.settings import MAX_CONNECTIONS, ListenSettings

__all__ = ["LATENCY_BOUNDS", "MAX_CONNECTIONS", "Latency", "ListenSettings", "Server", "ServerCounters"]

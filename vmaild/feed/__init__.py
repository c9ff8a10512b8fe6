"""Follows the directory's changes, of the server in use, and passes them to the maps (``vmaild.maps.freshness``).

feed       which way: sync, poll or none; connects again, and sees to the ages
poll       asking once a second
domains    the hosted domains as a set
diagnosis  what a server offers, and what is missing in slapd's configuration
counters   what is counted
"""

from vmaild.feed.counters import FeedCounters
from vmaild.feed.domains import HostedDomains, below
from vmaild.feed.feed import Feed

__all__ = ["Feed", "FeedCounters", "HostedDomains", "below"]

"""The directory: the only part of vmaild that knows bonsai and speaks LDAP.

In the order of reading:

==================  ================================================================================
pool                what the rest calls: searches, on whichever server is up
server              one server: its connections, kept up in the background, and its checks
replica_state       how far a server's data is: not loaded yet, or behind what was seen before
failover            which server serves: the order of the URIs, failing over and back
backoff             when a server that fails is tried again, and when one that hangs is taken out
base_check          whether a server still holds the search base, so that its empty answers count
service_time        how long a search takes at present
probe_time          how long the same probe takes at each server, and which servers are slow
shared_probe        one probe at a time, whose outcome serves all who need it
subschema           the server's schema, which decides what queries can be joined
wait_queue          the searches that wait for a free connection, first come first served
connection          one LDAP connection: a search, its deadline, its result code
attributes          what a search asks for, with options that came back
large_message       messages in pieces, gathered for libldap or thrown away
bind                from nothing to a bound connection, step by step on the loop
deadline_timer      one timer of the loop for many deadlines
bonsai_patches      what takes the place of some of bonsai's classes, and why
ber                 the few bytes of LDAP that vmaild writes and reads itself
failures            bonsai's exceptions and LDAP's result codes as ``DirectoryFailure``
transport           the way to a server: directly, or through the relay
relay               TLS and remote servers, so that libldap never blocks the loop
dial                name resolution, TCP connect, and whether an LDAP server answers there
secrets             password and certificates, read again when they change
tls                 the TLS context, made and checked
uri                 LDAP URIs as vmaild accepts them
several             several directories as one
settings            what the configuration fills, and ``problems`` that checks it
counters            what is counted, and the state of the moment
walk                one connection for a command: searches, and pages of a whole tree; not for the daemon
examine             what ``vmaild check`` asks of a server; not for the daemon
trial               what an account may write, by changes that the server judges and does not make; not for the daemon
trial_requests      the bytes of these, and of their answers
==================  ================================================================================

libldap reads ldap.conf(5) and LDAP* variables when it is first used; they can make it dereference aliases, and a
KEEPALIVE_IDLE there crashes libldap 2.5.13. vmaild is configured by its own file only, so importing this
package sets ``LDAPNOINIT``.
"""

import os

os.environ.setdefault("LDAPNOINIT", "1")

from vmaild.directory.counters import Counters, PoolStatus, ServerStatus
from vmaild.directory.failures import KINDS, LIMIT, NO_BASE, REFUSED, in_words
from vmaild.directory.pool import Ended, Found, Pool
from vmaild.directory.secrets import password_in
from vmaild.directory.settings import DirectorySettings, problems
from vmaild.directory.several import Directories
from vmaild.directory.shared_probe import RENEWAL, TRUST, SharedProbe
from vmaild.directory.sync_context import Context, ReadEntry, read_context, read_cookie
from vmaild.directory.sync_cookie import Cookie
from vmaild.directory.sync_events import SearchEntry, State
from vmaild.directory.sync_phases import AgeAll, Changed, Deleted, Moved, Persisting, Present
from vmaild.directory.sync_phases import Ended as StreamEnded
from vmaild.directory.sync_requests import SyncSearch, at_least, present
from vmaild.directory.sync_stream import ANSWER, INTERVAL, Refused, SyncStream
from vmaild.directory.sync_way import Way, reader
from vmaild.directory.uuid_set import UuidSet

__all__ = [
    "ANSWER",
    "INTERVAL",
    "KINDS",
    "LIMIT",
    "NO_BASE",
    "REFUSED",
    "RENEWAL",
    "TRUST",
    "AgeAll",
    "Changed",
    "Context",
    "Cookie",
    "Counters",
    "Deleted",
    "Directories",
    "DirectorySettings",
    "Ended",
    "Found",
    "Moved",
    "Persisting",
    "Pool",
    "PoolStatus",
    "Present",
    "ReadEntry",
    "Refused",
    "SearchEntry",
    "ServerStatus",
    "SharedProbe",
    "State",
    "StreamEnded",
    "SyncSearch",
    "SyncStream",
    "UuidSet",
    "Way",
    "at_least",
    "in_words",
    "password_in",
    "present",
    "problems",
    "read_context",
    "read_cookie",
    "reader",
]

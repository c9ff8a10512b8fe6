"""The states of a client's connection.

=========  =====================================================================================================
READY      nothing is pending and no part of a request has come: a request that is remembered takes the hot path
TIMED      as READY, but the next request is timed
BUSY       replies are pending, or part of a request has come; more is read
FULL       as many replies are pending as may be, the client does not read them, or it has had its share of this
           turn of the loop: nothing is read
FINISHING  nothing more is read (the client has sent its last byte, or vmaild stops); what came is answered
ENDING     no more requests are taken up; the replies that are pending are sent, then the connection is closed
CLOSED     the connection is gone or aborted; lookups that it began may still be in flight
=========  =====================================================================================================

================================  ==================================  ============================================
event                             from                                to
================================  ==================================  ============================================
a request that is remembered      READY                               READY
other bytes                       READY, TIMED, BUSY                  BUSY, FULL, or READY when all is answered
other bytes                       ENDING                              ENDING: they are thrown away
a reply is there                  BUSY, FULL                          BUSY, FULL, READY
the client does not read          READY, TIMED, BUSY                  FULL
the client reads again            FULL                                BUSY, READY
the share of a turn is used up    BUSY                                FULL, and on in the next turn
the same                          FINISHING                           FINISHING, and on in the next turn
the client's last byte, a stop    READY, TIMED, BUSY, FULL            FINISHING
all requests are taken up         FINISHING                           ENDING
bytes that are no request         any but ENDING and CLOSED           ENDING
the last pending reply is sent    ENDING                              the transport is closed
connection lost or aborted        any                                 CLOSED
================================  ==================================  ============================================
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """What a connection is about."""

    READY = enum.auto()
    TIMED = enum.auto()
    BUSY = enum.auto()
    FULL = enum.auto()
    FINISHING = enum.auto()
    ENDING = enum.auto()
    CLOSED = enum.auto()


# Names of their own: an attribute of the class would be looked up on the hot path.
READY, TIMED, BUSY, FULL, FINISHING, ENDING, CLOSED = State

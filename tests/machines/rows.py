"""The rows of the table: each fault, and the kind of site that it is tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.machines import faults
from tests.machines.company import BY_DOMAIN, BY_LEVEL


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the table, on which kind of site."""

    name: str
    run: Callable[[faults.Trial], None]
    order: str = BY_DOMAIN
    two_providers: bool = False


FAULTS = (
    Fault("nothing", faults.nothing),
    Fault("provider down", faults.provider_down),
    Fault("consumer down", faults.consumer_down),
    Fault("consumer slow", faults.consumer_slow),
    Fault("consumer hangs", faults.consumer_hangs),
    Fault("consumer in its first load, by entry ID", faults.first_load),
    Fault("consumer days behind", faults.behind),
    Fault("consumer days behind, vmaild started then", faults.behind_from_the_start),
    Fault("consumer cut off from its provider", faults.stops_following),
    Fault("host cut off from the other servers", faults.cut_off_from_the_lan),
    Fault("host cut off from everybody", faults.cut_off),
    Fault("host lost and rebuilt", faults.lost),
    Fault("both consumers stopped", faults.both_consumers),
    Fault("every directory server stopped", faults.no_directory),
    Fault("provider replaced by a consumer", faults.promoted),
    Fault("consumer in its first load, level by level", faults.first_load, BY_LEVEL),
    Fault("host lost and rebuilt, level by level", faults.lost, BY_LEVEL),
    Fault("two providers, nothing", faults.nothing, two_providers=True),
    Fault("two providers, a split and its end", faults.split, two_providers=True),
    Fault("two providers, one of them down", faults.one_of_two_providers, two_providers=True),
)

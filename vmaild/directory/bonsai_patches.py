"""What vmaild puts in the place of some of bonsai's classes, and why.

Beside these, ``vmaild.directory.connection`` has the class for an entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bonsai import LDAPClient
from bonsai.ldapvaluelist import LDAPValueList

# A plain assignment would be a type error.
# Its lists of values keep book of changes, and make three objects for that; these are only read.
setattr(LDAPValueList, "__init__", list.__init__)  # noqa: B010


class Address:
    """The URL of a client, for the one method that bonsai's C part calls.

    bonsai's ``LDAPURL`` lower-cases the path of ldapi and refuses host names with an underscore.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_address(self) -> str:
        """The URL as ldap_initialize(3) takes it."""
        return self._text


class Client(LDAPClient):
    """bonsai's settings for one connection.

    ``raw_attributes`` are those whose values stay bytes; bonsai turns others into numbers and booleans.
    """

    # Plain attributes in the place of properties that check and copy at each use.
    url: Any = None
    raw_attributes: Any = ()

    def __init__(self, address: str) -> None:
        super().__init__()
        self.url = Address(address)
        # Referrals come as objects in the result, never followed, never dropped.
        self.set_ignore_referrals(False)
        self.set_server_chase_referrals(False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to bind: mechanism SIMPLE or EXTERNAL; name and password for a simple bind that is not anonymous."""

    mechanism: str = "SIMPLE"
    name: str | None = None
    password: str | None = None

"""The directory: the only part of vmaild that knows bonsai and speaks LDAP.

``Directory.search`` is what the rest calls; ``DirectorySettings`` and ``problems`` are what the configuration
fills and checks.

libldap reads ldap.conf(5) and LDAP* variables when it is first used; they can make it dereference aliases, and a
KEEPALIVE_IDLE there crashes libldap 2.5.13. vmaild is configured by its own file only, so importing this
package sets ``LDAPNOINIT``.
"""

import os

os.environ.setdefault("LDAPNOINIT", "1")

from vmaild.directory.counters import Counters, ServerStatus, Status
from vmaild.directory.directory import Directory
from vmaild.directory.settings import DirectorySettings, problems

__all__ = ["Counters", "Directory", "DirectorySettings", "ServerStatus", "Status", "problems"]

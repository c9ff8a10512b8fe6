"""What is known survives a restart: found records and the hosted domains in a file.

snapshot   when it is written and read, and what becomes of it
file       the file: lines, checksum, written atomically
"""

from vmaild.snapshot.snapshot import Snapshot, fingerprint

__all__ = ["Snapshot", "fingerprint"]

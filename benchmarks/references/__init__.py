"""Servers to compare vmaild with: the least that a server in Python can do.

::

    python -m benchmarks.references echo ADDRESS
    python -m benchmarks.references dict ADDRESS --table FILE [--protocol tcp_table --map NAME]
    python -m benchmarks.references relay ADDRESS --to ADDRESS --delay SECONDS

``echo`` sends back what came, without a look at it: the floor of a uvloop server. ``dict`` answers from a table
(an expectation file) held as a dict from request bytes to reply bytes: the ceiling of any socketmap server in
Python. ``relay`` passes connections on and holds back what comes from the other side: it makes a slow directory.
"""

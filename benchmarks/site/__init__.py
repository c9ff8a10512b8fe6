"""A site of one's own to measure: slapd with a large directory, vmaild, Postfix and rivals, on loopback.

Everything runs on free ports below one temporary directory, is stopped by its own process id, and is gone afterwards.
An installed slapd, Postfix, memcached or vmaild is not touched. Read ``site`` first, then ``rivals`` and ``clients``.
"""

"""The two protocols that Postfix speaks to a table server, as codecs without sockets.

``netstring`` is the framing of ``socketmap``; ``tcp_table`` is the line protocol. Each turns bytes into requests
and replies into bytes for the server's side, and the other way round for a client's side.

A reader of either protocol has the same contract: ``feed(data)`` takes bytes in pieces of any size and only
stores them; ``next()`` returns the next whole item, or None when it needs more bytes, or raises
``ProtocolError``. It raises only after every good item before the bad bytes was returned, and from then on
each time, for the place where the next item would start is lost.
"""

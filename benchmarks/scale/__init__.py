"""How far one machine goes (``python -m benchmarks scale``); what follows for many (``python -m benchmarks model``).

``tree`` makes a directory of up to a million accounts and more, ``measure`` puts one vmaild in front of it, ``client``
asks, ``message`` sends mail, and ``model`` works out what a site of any size needs from what was measured.
"""

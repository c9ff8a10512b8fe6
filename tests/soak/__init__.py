"""The soak: a real daemon before a real slapd, under everything at once, for as long as one likes.

``python -m tests.soak --seconds 600 --output DIR`` (``make soak``). Read in this order: ``oracle`` (what must be
answered), ``tally`` (what was), the workers ``churn``, ``changes``, ``floods`` and ``probe``, each in its own process,
``site`` and ``schedule`` (what they meet with), ``samples`` (memory, descriptors, tasks), ``verdict`` and ``report``.
"""

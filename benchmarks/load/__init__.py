"""The load generator: ``load_command`` is the program, ``fleet`` its connections, ``questions``, ``tally``."""

"""The load generator: ``command`` is ``python -m benchmarks load``, ``run`` one load, ``keys_command`` writes its keys.

Pure, with a fake clock in their tests: ``pace``, ``keys``, ``limits``, ``expectation``, ``protocols``, ``tally``.
"""

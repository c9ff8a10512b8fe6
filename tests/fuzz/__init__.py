"""Coverage-guided fuzzing of what reads bytes from outside: the codecs, the HTTP and control lines, the configuration.

``make fuzz`` runs each target for a bounded time (``SECONDS``) with atheris, the extra ``fuzz`` of pyproject.toml:
``python -m tests.fuzz TARGET SECONDS``. What a target promises stands in ``targets``; ``test_fuzz_targets.py`` holds it
to the same promises for the seeds, without atheris.
"""

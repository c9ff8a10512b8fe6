"""The tests. See ``tests/support`` for the services that they start."""

"""The benchmark of vmaild, for use from a source checkout: ``python -m benchmarks --help``, and README.md here."""

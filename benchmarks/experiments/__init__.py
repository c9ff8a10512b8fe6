"""The experiments: modules with SECTIONS, AIMS, DEFAULTS, ``options`` and ``measure``, run by ``experiment``."""

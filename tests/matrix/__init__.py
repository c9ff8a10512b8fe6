"""The test suite on every Python at hand, on the oldest libraries, and on other Debians: ``make matrix``.

A cell of the matrix is one Python with one set of libraries. Each is tried alone: the files of the checkout are copied,
an empty environment is made, vmaild is installed into it with what the tests need, and pytest runs. A table at the end
has the versions that were installed and what pytest said last; the logs stay in ``--results``.

=============== =====================================================================================================
cell            what it is
=============== =====================================================================================================
``3.12``        the newest libraries on that Python; one cell for each minor version from pyproject.toml's least one on
``3.11-lowest`` the least Python with each runtime dependency at its lower bound in pyproject.toml
``trixie``      that Debian's own Python, slapd, Postfix and OpenSSL, in a tree of debootstrap(8) (``--debian``)
=============== =====================================================================================================

Pythons are looked for in PATH and in pyenv's folder. A Debian needs root and the packages debootstrap and
systemd-container; its tree is made once, in ``TREES``.
"""

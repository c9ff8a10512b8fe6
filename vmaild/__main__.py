"""``python -m vmaild`` is ``vmaild``."""

import sys

from vmaild.cli import main

sys.exit(main())

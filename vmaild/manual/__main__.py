"""``python -m vmaild.manual``: fill in the made parts of the manual pages, or compare them."""

from __future__ import annotations

import argparse
import sys

from vmaild.manual import filled, pages


def main() -> int:
    """Exit status 1: with ``--check``, a page differs from what would be written."""
    parser = argparse.ArgumentParser(prog="python -m vmaild.manual", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when a page differs")
    check = parser.parse_args().check
    different = [(page, text) for page in pages() if (text := filled(page.read_text())) != page.read_text()]
    for page, text in different:
        print(f"{page.name}: {'differs' if check else 'written'}")
        if not check:
            page.write_text(text)
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main())

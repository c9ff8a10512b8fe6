"""What a mailbox path must look like before it is served.

A hosted domain's postmaster may write the entries of that domain, ``mailbox`` included. A delivery agent takes the
path as it is, so one that leaves the domain's own directory would file mail in another's.
"""

from __future__ import annotations

from vmaild.errors import DataError


def check_mailbox(values: list[str], domain: str, entry: str) -> None:
    """Raise DataError unless ``values`` is one maildir path below ``domain``: relative, ``/`` at its end, no ``..``.

    Control characters are refused for every map, before this. ``entry`` is the DN to name. An account without a
    mailbox is an error too: it exists, so its mail must wait, not bounce.
    """
    if len(values) != 1:
        raise DataError(f"{entry}: {'no mailbox' if not values else 'more than one mailbox'}")
    path = values[0]
    if path.startswith("/"):
        problem = "is not relative"
    elif not path.endswith("/"):
        problem = "does not end in /"
    elif ".." in path:
        problem = "holds .."
    elif not path.lower().startswith(f"{domain}/"):
        problem = "does not begin with the domain of its address"
    else:
        return
    raise DataError(f"{entry}: mailbox {path!r} {problem}")

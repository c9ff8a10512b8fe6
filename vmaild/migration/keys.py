"""What ``vmaild compare`` asks: the keys of a file, or the recipients in a mail log."""

from __future__ import annotations

import re

# smtp, lmtp, local, virtual, pipe and error log "to=<address>", and "orig_to=<address>" for what it was before aliases;
# smtpd logs it for a refused recipient too.
_RECIPIENT = re.compile(r"\b(?:orig_)?to=<([^>\s]+)>")
_LOG_LINE = re.compile(r"\bpostfix\S*/\w+\[\d+\]: ")


def keys_in(text: str) -> list[str]:
    """The keys in the text, each once: recipients when it is a mail log, else its lines."""
    lines = [line for line in text.splitlines() if line.strip()]
    if any(_LOG_LINE.search(line) for line in lines):
        return list(dict.fromkeys(key for line in lines for key in _RECIPIENT.findall(line)))
    return list(dict.fromkeys(lines))

"""``domain`` of a query: which domains may be asked for, read as Postfix reads them."""

from __future__ import annotations

from pathlib import Path

from vmaild.config.section import Section
from vmaild.postfix.domains import DomainList, read_domains


def read_domain_list(section: Section) -> DomainList:
    """The list, with the words of files in it; what is wrong with one is noted."""
    if "domain" not in section:
        return DomainList()
    found = read_domains(" ".join(section.words("domain") or ()), lambda path: Path(path).read_text())
    for text in found.problems:
        section.problem("domain", text)
    for text in found.warnings:
        section.warn("domain", text)
    return found

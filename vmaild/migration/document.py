"""The vmaild.toml of a plan."""

from __future__ import annotations

import json

from vmaild.migration.plan import MapPlan, Plan
from vmaild.postfix.main_cf import MainCf


def document(plan: Plan, main: MainCf, endpoint: str, directory: str) -> str:
    """The file as text. Servers and passwords stay in the table files that it names."""
    lines = [f"# Written by vmaild import-postfix from {directory}."]
    if delimiter := main.value("recipient_delimiter"):
        lines.append(f"recipient_delimiter = {_quoted(delimiter)}")
    if main.value("owner_request_special").lower() == "no":
        lines.append("owner_request_special = false")
    lines += ["", "[[listen]]", f"address = {_quoted(endpoint)}"]
    if plan.mydestination:
        listed = ", ".join(_quoted(domain) for domain in plan.mydestination)
        lines += ["", "[postfix]", f"mydestination = [{listed}]"]
    for made in plan.maps:
        lines += ["", *_map(made)]
    return "\n".join([*lines, ""])


def _map(made: MapPlan) -> list[str]:
    lines = [f"[maps.{made.name}]"]
    if len(made.cf) == 1:
        lines.append(f"cf = [{_quoted(made.cf[0])}]")
    else:
        lines += ["cf = [", *(f"    {_quoted(entry)}," for entry in made.cf), "]"]
    lines.append(f"keys = {_quoted(made.keys)}")
    if made.propagate_extension:
        lines.append("propagate_extension = true")
    if made.quoted_only:
        lines.append("quoted_only = true")
    return lines


def _quoted(text: str) -> str:
    # A TOML basic string is written as JSON writes one, but for DEL, which no name here holds.
    return json.dumps(text, ensure_ascii=False)

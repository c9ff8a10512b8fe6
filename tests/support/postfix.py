"""The demo's Postfix, under the name that the tests know it by."""

from __future__ import annotations

from vmaild.demo.postfix import Answer, Postfix

__all__ = ["Answer", "Postfix"]

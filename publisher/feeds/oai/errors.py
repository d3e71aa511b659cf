"""Errors of a harvester's request, with the protocol's codes (section 3.6)."""

from __future__ import annotations


class OaiError(Exception):
    """An error of the protocol; *code* is one of its error codes."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code

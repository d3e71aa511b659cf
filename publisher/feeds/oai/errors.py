"""Errors of a harvester's request, with the protocol's codes (section 3.6)."""

from __future__ import annotations


class OaiError(Exception):
    """A request that is answered by an error element; *code* is one of the protocol's."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code

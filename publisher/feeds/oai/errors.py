"""What a harvester can do wrong, with the protocol's own codes (section 3.6)."""

from __future__ import annotations


class OaiError(Exception):
    """A request that is answered by an error element; *code* is one of the protocol's."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code

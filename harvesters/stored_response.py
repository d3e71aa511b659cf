"""Define the position of a response in the archive, and the values for the next conditional request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class SourcePosition(NamedTuple):
    """The position of a response in the archive: the WARC file's path below the archive, offset and
    length in bytes.

    >>> str(SourcePosition("a/a.1.warc.gz", 563, 579))
    'a/a.1.warc.gz, bytes 563-1141'
    """

    file: str
    offset: int
    length: int

    def __str__(self) -> str:
        return f"{self.file}, bytes {self.offset}-{self.offset + self.length - 1}"


@dataclass(frozen=True, slots=True)
class Validator:
    """The values for the next conditional request: the ETag and Last-Modified as the
    registry sent them, and a *digest* of its body (``Reply.digest``).
    """

    etag: str | None
    modified: str | None
    digest: str | None = None

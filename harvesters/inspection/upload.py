"""Answer the requests of a protocol with an uploaded file."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass, field

import httpx

_TYPES = {".csv": "text/csv", ".json": "application/json", ".xml": "application/xml", ".ttl": "text/turtle", ".ics": "text/calendar",
          ".nt": "application/n-triples", ".nq": "application/n-quads", ".trig": "application/trig", ".jsonld": "application/ld+json",
          ".rdf": "application/rdf+xml", ".atom": "application/atom+xml", ".rss": "application/rss+xml"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to check: its *name*, which decides its media type, and its bytes."""

    name: str
    content: bytes

    @property
    def media_type(self) -> str:
        """Return the media type of the file's name, "" if its extension is unknown.

        >>> Upload("feed.ttl", b"").media_type, Upload("feed", b"").media_type
        ('text/turtle', '')
        """
        suffix = f".{self.name.rpartition('.')[2].lower()}" if "." in self.name else ""
        return _TYPES.get(suffix) or mimetypes.guess_type(self.name)[0] or ""


@dataclass(slots=True)
class UploadTransport(httpx.BaseTransport):
    """Answers requests of the first address with *upload*, and of every other with 404: an upload is
    one page of a source. *further* is the first other address.
    """

    upload: Upload
    further: str = field(default="", init=False)
    _address: str = field(default="", init=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the upload, or 404 for another address, so that a protocol which looks elsewhere
        after an error ends with that error.
        """
        address = str(request.url)
        self._address = self._address or address
        if address != self._address:
            self.further = self.further or address
            return httpx.Response(404)
        headers = {"Content-Type": self.upload.media_type} if self.upload.media_type else {}
        return httpx.Response(200, headers=headers, content=self.upload.content)

"""Send requests to registries, the only access to the network, and read the bodies of their responses
in bounded memory and time.
"""

from __future__ import annotations

import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import httpx
import structlog
import zstandard

from harvesters.archive import Archive, ArchivedResponse
from harvesters.errors import (
    ArchiveError,
    HarvestError,
    InvalidURLError,
    QuietHoursError,
    RefusedError,
    RetryLaterError,
    RobotsError,
    TooLargeError,
    TooManyRedirectsError,
    TransferError,
)
from harvesters.network.reply import (
    Reply,
    ResponseCheck,
    check_response,
    check_robots_response,
    is_redirect,
    merge_responses,
)
from harvesters.network.settings import NetworkSettings, RobotsCheck
from harvesters.page_model import SourcePosition, Validator
from harvesters.reasons import Reason, Value
from harvesters.source import QuietHours
from web.outbound_client import Deadline, GuardedTransport, PrivateAddressError

log = structlog.get_logger()

# Redirects that are followed: RFC 9309 asks for five, and no honest registry needs three.
_MAX_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class _Request:
    """A GET, or a POST with a *body*: a form, or an XML document as bytes.

    *check* raises the error of a reply. The body of a reply with status 200 is written to the file
    *download_path*, unless that is None.
    """

    headers: Mapping[str, str]
    check: ResponseCheck
    body: Mapping[str, str] | bytes | None = None
    download_path: Path | None = None
    obeys_robots: bool = True

    @property
    def digest(self) -> str:
        """Return a digest of the body and the range of the request, "" for a plain GET."""
        part = self.headers.get("Range")
        if self.body is None and part is None:
            return ""
        return blake2b(repr((self.body, part)).encode(), digest_size=16).hexdigest()


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Fetch(AbstractContextManager["Fetch"]):
    """An HTTP client that waits *pause* seconds between requests to a host, retries, and refuses
    private addresses.

    *validators* are the last run's by address; ``seen`` collects this run's. Redirects are followed
    and checked at every hop, and addresses that are private, loopback or link-local are refused
    after DNS unless *network* allows their host. Each host's robots.txt is obeyed, its crawl-delay
    too; a *robots_override* (who permitted access, in writing) sets its Disallow aside. No requests
    are sent in *quiet_hours*. ``outcome_counts`` counts how requests ended, ``responses`` adds up
    sizes and times; see ``merge_responses``. *base* is the prefix of our own IRIs. *stored* returns
    the archived response to an address and the digest of a request, which is then not sent.
    *observe* is called with None before a request, then with its reply; it may raise the error of a
    reply.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    pause: float = 1.0
    archive: Archive | None = None
    validators: Mapping[str, Validator] = field(default_factory=dict)
    robots: bool = True
    robots_override: str = ""
    quiet_hours: QuietHours | None = None
    base: str = ""
    now: Callable[[], datetime] = utc_now
    stored: Callable[[str, str], ArchivedResponse | None] = lambda _url, _request: None
    observe: Callable[[Reply | None], None] = lambda _: None
    seen: dict[str, Validator] = field(default_factory=dict)
    outcome_counts: Counter[str] = field(default_factory=Counter)
    responses: dict[str, int] = field(default_factory=dict)
    _deadline: Deadline = field(default_factory=Deadline)
    _robots_check: RobotsCheck = field(init=False)
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._robots_check = RobotsCheck(self._request_robots, self.robots_override)
        self._client = httpx.Client(
            transport=self.network.transport
            or GuardedTransport(self.network.allow, self._deadline),
            headers={"User-Agent": self.network.agent, "Accept-Encoding": OFFERED},
            timeout=httpx.Timeout(
                self.network.retry_policy.read_timeout,
                connect=self.network.retry_policy.connect_timeout,
            ),
            trust_env=False,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def post(self, url: str, body: Mapping[str, str] | bytes, *, accept: str = "*/*") -> Reply:
        """Send a query, a form or an XML document, to an address that takes it by POST only;
        retries and raises like ``get``.

        It must not change anything on the server, since it may be sent more than once.
        """
        request = _Request({"Accept": accept}, self._check_for(accept), body)
        return self._follow(str(self._parse_url(url)), request)

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        *,
        accept: str = "*/*",
        conditional: bool = False,
    ) -> Reply:
        """Return a reply with status 200, or 304 if *conditional* and nothing has changed: the
        registry says so, or its body has the digest of the last run's.

        Retries temporary failures, after Retry-After if given. Raises a FetchError (see
        harvesters.errors), or WebPageError if *accept* asks for data and a web page is received;
        each message names the address, and the remedy if there is one.
        """
        return self._get(str(self._parse_url(url, params=params)), accept, conditional)

    def _get(
        self, address: str, accept: str, conditional: bool, download_path: Path | None = None
    ) -> Reply:
        headers, old = {"Accept": accept}, self.validators.get(address)
        if conditional and old:
            known = {"If-None-Match": old.etag, "If-Modified-Since": old.modified}
            headers |= {name: value for name, value in known.items() if value}
        request = _Request(headers, self._check_for(accept), download_path=download_path)
        reply = self._follow(address, request)
        if reply.status == 200:
            etag, modified = reply.headers.get("etag"), reply.headers.get("last-modified")
            self.seen[address] = Validator(etag, modified, reply.digest if conditional else None)
            if conditional and old and old.digest == reply.digest:
                return replace(reply, status=304, content=b"")
        elif reply.not_modified and old:
            self.seen[address] = old
        return reply

    @contextmanager
    def download(
        self, url: str, *, accept: str = "*/*", conditional: bool = False
    ) -> Iterator[Reply]:
        """Get a reply like ``get``, but into a file that exists until the end of the context, so
        that memory stays flat.

        The limits are those for files in *retry_policy*.
        """
        with TemporaryDirectory(prefix="stocktake-") as folder:
            yield self._get(str(self._parse_url(url)), accept, conditional, Path(folder) / "body")

    def get_range(self, url: str, byte_range: range, etag: str | None = None) -> Reply:
        """Return the bytes *byte_range* of a file, with status 206; the whole file, with 200, if
        its ETag differs from *etag*.

        Raises like ``get``. Source: https://www.rfc-editor.org/rfc/rfc9110 section 14.
        """
        headers = {
            "Accept": "*/*",
            "Range": f"bytes={byte_range.start}-{byte_range.stop - 1}",
            "Accept-Encoding": "identity",
            **({"If-Range": etag} if etag else {}),
        }
        check = self._check_for("*/*")
        request = _Request(headers, lambda reply: None if reply.status == 206 else check(reply))
        return self._follow(url, request)

    def forget(self, address: str) -> None:
        """Drop the validator of this run for *address*: the next run requests it without condition."""
        self.seen.pop(address, None)

    def _check_for(self, accept: str) -> ResponseCheck:
        return lambda reply: check_response(reply, accept, self.network.agent)

    def _follow(self, address: str, request: _Request) -> Reply:
        """Send a request and follow redirects; robots.txt, rate limit and retries apply to each
        hop.
        """
        url = self._parse_url(address)
        for _ in range(_MAX_REDIRECTS + 1):
            if url.scheme not in {"http", "https"}:
                raise self._count_error(
                    InvalidURLError(
                        "%(address)s: redirects to %(url)s, which is not a web address",
                        address=address,
                        url=str(url),
                    )
                )
            pause = self._pause_for(url, request)
            self.observe(None)
            reply = self._send_with_retries(url, request, pause)
            if not is_redirect(reply):
                self.observe(reply)
                return reply
            url = self._parse_url(str(url), reply.headers["location"])
        raise self._count_error(
            TooManyRedirectsError(
                "%(address)s: more than %(limit)s redirects, the last to %(url)s; correct the "
                "source's url",
                address=address,
                limit=_MAX_REDIRECTS,
                url=str(url),
            )
        )

    def _pause_for(self, url: httpx.URL, request: _Request) -> float:
        """Return the pause before a request to *url*. Raise RobotsError if it is not allowed."""
        if not (self.robots and request.obeys_robots):
            return self.pause
        try:
            return max(self.pause, self._robots_check.crawl_delay(url))
        except RobotsError as error:
            self._count_error(error)
            raise

    def _request_robots(self, address: str) -> Reply:
        request = _Request({"Accept": "text/plain"}, check_robots_response, obeys_robots=False)
        return self._follow(address, request)

    def _send_with_retries(self, url: httpx.URL, request: _Request, pause: float) -> Reply:
        for attempt in self.network.retry_policy.attempts():
            if attempt.num > 1:
                self.outcome_counts["retried"] += 1
            with attempt:
                return self._attempt(url, request, pause)
        raise AssertionError("the last try gives or raises")

    def _attempt(self, url: httpx.URL, request: _Request, pause: float) -> Reply:
        """Send a request once, and count its outcome: the number of requests is the sum of their
        outcomes.
        """
        stored = self.stored(str(url), request.digest)
        if stored is None:
            self._wait_for_turn(url, pause)
        counts = self.outcome_counts if stored is None or stored.is_new else Counter[str]()
        counts["sent"] += 1
        try:
            reply = self._send(url, request, stored)
            if not is_redirect(reply):
                request.check(reply)
        except HarvestError as error:
            if isinstance(error, RetryLaterError) and error.after:
                self.network.rate_limiter.block_host(
                    url.host, min(error.after, self.network.retry_policy.max_retry_after)
                )
            self._count_error(error)
            raise
        counts[
            "redirected"
            if is_redirect(reply)
            else "unchanged"
            if reply.not_modified
            else "answered"
        ] += 1
        return reply

    def _parse_url(
        self, url: str, location: str | None = None, params: Mapping[str, str] | None = None
    ) -> httpx.URL:
        try:
            parsed = httpx.URL(url) if location is None else httpx.URL(url).join(location)
            return parsed.copy_merge_params(params) if params else parsed
        except (httpx.InvalidURL, UnicodeError) as error:
            printable = (location or url).encode("utf-8", "backslashreplace").decode()
            raise self._count_error(
                InvalidURLError("%(url)s: invalid URL: %(error)s", url=printable, error=str(error))
            ) from error

    def _count_error(self, error: HarvestError) -> HarvestError:
        self.outcome_counts[error.outcome] += 1
        return error

    def _wait_for_turn(self, url: httpx.URL, pause: float) -> None:
        self.network.rate_limiter.acquire(url.host, pause)
        if self.quiet_hours and (end := self.quiet_hours.ends_at(self.now())):
            raise self._count_error(
                QuietHoursError(
                    "%(host)s: its quiet hours are %(hours)s UTC; the run continues after %(end)s UTC",
                    host=url.host,
                    hours=str(self.quiet_hours),
                    end=f"{end:%Y-%m-%d %H:%M}",
                )
            )

    def _send(self, url: httpx.URL, request: _Request, stored: ArchivedResponse | None) -> Reply:
        policy = self.network.retry_policy
        self._deadline.start(
            policy.file_timeout if request.download_path else policy.response_timeout
        )
        path, digest, begun = None, "", time.monotonic()
        try:
            opened = closing(stored.open()) if stored else self._open_stream(url, request)
            with opened as response:
                if request.download_path and response.status_code == 200:
                    path = request.download_path
                    content, digest = read_to_file(
                        response, path, policy.max_file_bytes, self._deadline
                    )
                else:
                    content = read_body(response, policy.max_bytes, self._deadline)
        except httpx.TransportError as error:
            raise _transport_error(url, error) from error
        size = path.stat().st_size if path else len(content)
        milliseconds = round((time.monotonic() - begun) * 1000)
        counted = {"count": 1, "bytes": size, "milliseconds": milliseconds, "slowest": milliseconds}
        if stored is None or stored.is_new:
            self.responses = merge_responses(self.responses, counted)
        reply = Reply(
            str(url), response.status_code, response.headers, content, path=path, file_digest=digest
        )
        return replace(reply, at=stored.position if stored else self._archive(reply, request))

    def _open_stream(
        self, url: httpx.URL, request: _Request
    ) -> AbstractContextManager[httpx.Response]:
        headers, body = request.headers, request.body
        if isinstance(body, bytes):
            headers = {**headers, "Content-Type": "application/xml"}
            return self._client.stream("POST", url, headers=headers, content=body)
        method = "GET" if body is None else "POST"
        return self._client.stream(method, url, headers=headers, data=body)

    def _archive(self, reply: Reply, request: _Request) -> SourcePosition | None:
        if self.archive is None:
            return None
        pairs = list(reply.headers.multi_items())
        if reply.path is not None:
            return self.archive.write_file(
                reply.url, reply.status, pairs, reply.path, request.digest
            )
        return self.archive.write_response(
            reply.url, reply.status, pairs, reply.content, request.digest
        )


def _transport_error(url: httpx.URL, error: httpx.TransportError) -> HarvestError:
    """Return the exception for a request without a response, which names the server that cannot be
    reached, why, and what to do.
    """
    if isinstance(cause := error.__cause__, PrivateAddressError):
        text = "%(host)s has the private address %(address)s. To allow it: STOCKTAKE_ALLOW_HOSTS=%(host)s"
        return RefusedError(text, host=cause.host, address=cause.address)
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        why = str(error) or type(error).__name__
        return TransferError(
            "%(url)s: no answer in time: %(error)s", "stalled", url=str(url), error=why
        )
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in str(error):
        return TransferError(
            "%(url)s: the response is not HTTP: %(error)s",
            "malformed",
            url=str(url),
            error=str(error),
        )
    text = "%(server)s: the connection broke before a response began (%(error)s); try again later"
    fault: Value = re.sub(r"^\[[^\]]*\] ", "", str(error)) or Reason("no reason is known")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        text = "%(server)s: the server's certificate is not valid (%(error)s); report this to the registry"
    elif isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        text = (
            "could not connect to %(server)s (%(error)s); check that the registry is running, "
            "and that the source's url is right"
        )
        fault = Reason("no answer in time") if isinstance(error, httpx.ConnectTimeout) else fault
    server = f"{url.host}:{url.port or {'http': 80, 'https': 443}[url.scheme]}"
    return TransferError(text, server=server, error=fault)


# ---- the bodies of responses

OFFERED = "gzip, deflate, zstd"
_OUTPUT_CHUNK = 64 * 1024  # Bytes that are decompressed at once.
# Bytes of zstd that are decompressed at once: 4 can grow to 128 KiB, so 64 to 2 MiB.
_ZSTD_INPUT_CHUNK = 64
_WINDOW = (
    8 * 1024 * 1024
)  # Bytes of zstd's window: the size that RFC 8878 asks decoders to support.
_MAX_ENCODINGS = 2  # Nested encodings; honest servers use one.

Parts = Iterable[bytes]


def decode_content(parts: Parts, encoding: str) -> Iterator[bytes]:
    """Decode a body by its Content-Encoding, in chunks of at most 2 MiB. Raise ValueError if it is
    invalid.
    """
    names = [
        name
        for name in (part.strip().lower() for part in encoding.split(","))
        if name and name != "identity"
    ]
    if len(names) > _MAX_ENCODINGS:
        raise ValueError(f"{len(names)} nested encodings")
    for name in reversed(names):
        if name not in _DECODERS:
            raise ValueError(f"encoded as {name[:40]!r}, which was not requested")
        parts = _DECODERS[name](parts)
    yield from parts


def _gzip(parts: Parts) -> Iterator[bytes]:
    """Decompress gzip with any number of members; zeros after the last are padding."""
    member, started = zlib.decompressobj(31), False
    for part in parts:
        while part:
            if member.eof:
                part = part.lstrip(b"\0")
                if not part:
                    break
                member, started = zlib.decompressobj(31), False
            started = True
            yield from _inflate(member, part)
            part = member.unused_data
    if not member.eof and started:
        raise ValueError("its gzip data are truncated")


def _deflate(parts: Parts) -> Iterator[bytes]:
    """Decompress deflate, with zlib's header as specified or without as many servers send it."""
    stream = None
    for part in filter(None, parts):
        stream = stream or zlib.decompressobj(15 if part[0] & 0x0F == 8 else -15)
        yield from _inflate(stream, part)
    if stream is not None and not stream.eof:
        raise ValueError("its deflate data are truncated")


def _inflate(stream: zlib._Decompress, part: bytes) -> Iterator[bytes]:
    try:
        # At the end of the stream, the decoder would return the rest again and again.
        while part and not stream.eof:
            yield stream.decompress(part, _OUTPUT_CHUNK)
            part = stream.unconsumed_tail
        while not stream.eof and (more := stream.decompress(b"", _OUTPUT_CHUNK)):
            yield more
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _zstd(parts: Parts) -> Iterator[bytes]:
    stream = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj(
        read_across_frames=False
    )
    started = False
    try:
        for part in parts:
            for start in range(0, len(part), _ZSTD_INPUT_CHUNK):
                if stream.eof:
                    raise ValueError("there is data after its zstd frame")
                started = True
                yield stream.decompress(part[start : start + _ZSTD_INPUT_CHUNK])
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if started and not stream.eof:
        raise ValueError("its zstd data are truncated")


_DECODERS: dict[str, Callable[[Parts], Iterator[bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}


START = 256 * 1024  # Bytes at the beginning of a file that show its format.
# An encoded body is refused once it decodes to more bytes than this, and to more than _RATIO times its
# size: it would else fill the disk up to the limit of a file. A gzip bomb grows 230 to 1,030 times.
_BOMB = 256 * 1024 * 1024
_RATIO = 200


def read_body(response: httpx.Response, size: int, deadline: Deadline) -> bytes:
    """Read a body of at most *size* bytes, as received and decoded; an incomplete body is never
    returned.

    Raises TooLargeError or TransferError.
    """
    content = bytearray()
    for part in _decoded_parts(response, size, deadline):
        content += part
    return bytes(content)


def read_to_file(
    response: httpx.Response, path: Path, size: int, deadline: Deadline
) -> tuple[bytes, str]:
    """Read a body into the file at *path*, like ``read_body``; return its beginning, and a
    hexadecimal digest of the whole.

    Raises ArchiveError if the disk is full.
    """
    start, digest = bytearray(), blake2b(digest_size=8)
    try:
        with path.open("wb") as file:
            for part in _decoded_parts(response, size, deadline):
                if len(start) < START:
                    start += part[: START - len(start)]
                digest.update(part)
                file.write(part)
    except OSError as error:
        raise ArchiveError(
            "%(url)s: cannot be stored in %(folder)s: %(error)s; free space, then run again",
            url=str(response.url),
            folder=str(path.parent),
            error=error.strerror or "",
        ) from error
    return bytes(start), digest.hexdigest()


def _decoded_parts(response: httpx.Response, size: int, deadline: Deadline) -> Iterator[bytes]:
    """Yield the decoded body in parts. Raise TransferError if it is truncated, too slow, or does not
    match its encoding, TooLargeError over *size* bytes. The limits also apply to encoded data that
    decodes to nothing.
    """
    url, received, raw = str(response.url), 0, 0

    def raw_parts() -> Iterator[bytes]:
        nonlocal raw
        assert isinstance(response.stream, httpx.SyncByteStream)
        for part in response.stream:
            raw += len(part)
            _check(url, raw, size, deadline)
            yield part

    try:
        for part in decode_content(raw_parts(), response.headers.get("content-encoding", "")):
            received += len(part)
            _check(url, received, size, deadline)
            if received > max(_BOMB, _RATIO * raw):
                raise ValueError(f"it decodes to more than {_RATIO} times its size")
            yield part
    except ValueError as error:
        text = "%(url)s: its body is not in the encoding that it declares: %(error)s"
        raise TransferError(text, "undecodable", url=url, error=str(error)) from error
    except httpx.TimeoutException as error:
        text = "%(url)s: stalled after %(size)s bytes: %(error)s"
        why = str(error) or type(error).__name__
        raise TransferError(text, "stalled", url=url, size=received, error=why) from error
    except httpx.TransportError as error:
        text = "%(url)s: broke off after %(size)s bytes: %(error)s"
        fault = Reason(text, url=url, size=received, error=str(error))
        raise TransferError(fault, "truncated") from error


def _check(url: str, received: int, size: int, deadline: Deadline) -> None:
    if received > size:
        raise TooLargeError(
            "%(url)s: larger than %(limit)s bytes; request smaller pages in the options of the "
            "source definition",
            url=url,
            limit=size,
        )
    if deadline.is_over:
        raise TransferError("%(url)s: the response exceeded its time limit", "stalled", url=url)

"""Define the harvester's exceptions, and convert those of libraries to them.

Every call of a library that reads bytes from a registry is inside ``parser_errors``, as
`tests/harvesters/test_parser_errors.py` checks.

HarvestError
├── SourceDefinitionError  an invalid source definition: the message names file, key and remedy
├── FetchError             a request failed, counted by its ``outcome``
│   ├── RefusedError           an address that is not requested: a private one
│   │   └── InvalidURLError        not an http or https URL
│   ├── TooManyRedirectsError  more redirects than are followed
│   ├── TooLargeError          a response over the size limit, as received or decoded
│   ├── ForbiddenError         401, 403
│   │   └── NotFoundError          404, 410: the URL is wrong
│   ├── BotProtectionError     bot protection answers; the message says how to allow us
│   ├── RobotsError            robots.txt forbids the request; the message quotes the line
│   ├── QuietHoursError        the registry's quiet hours; the run continues after them
│   └── TemporaryFetchError    no response now; the classes below are retried, except the last
│       ├── RetryLaterError        the registry asks to retry later: ``after`` says when
│       │   ├── LimitedError           429
│       │   └── UnavailableError       500, 502, 503, 504
│       ├── TransferError          no complete response: no connection, silence, an early end, another
│       │                          Content-Encoding, or no HTTP; ``outcome`` says which
│       └── UnexpectedStatusError  any other status
├── SourceLockedError      another run of the same source is in progress
├── ParseError             a response does not follow its protocol
│   ├── WebPageError           a web page instead of data
│   ├── CharsetError           text that does not match its declared charset
│   ├── CrashingReplyError     a response that crashes or blocks the process that reads it
│   ├── RepeatedPageError      a page with the records of an earlier one
│   └── PaginationLoopError    a list without an end: a repeated token, or too many empty pages
├── MirrorError            another Stocktake cannot be mirrored here
├── DeliveryError          a message was not delivered; ``is_permanent``: no second attempt helps
├── IdentityError          a pair or a table of decisions about duplicates cannot be used
├── PrizeError             an edition of the prizes is not valid: the message has file, key, remedy
├── PlanError              a plan cannot be approved, rejected, held or released
├── InvalidInputError      a person's input is not valid; the message says what is valid
├── UnknownError           a person named something that does not exist
├── ArchiveError           the archive cannot be written, or lacks a response to read again
├── DataDirectoryError     another file of the data directory cannot be written
├── CheckTimeoutError      the time of a check of a feed is used up
├── CrashLoopError         the process that reads a source's responses crashes repeatedly
├── ClusterError           a Dask cluster cannot be used: no answer, no workers, other code
│   └── ClusterLostError       a connected cluster no longer answers
└── LedgerError            the ledger is locked, full or of another version
    ├── EncodingError          its database is not in UTF-8
    ├── SchemaVersionError     its tables are of another version of Stocktake
    └── LockLostError          the lock of a run was lost: another process may have claimed the run
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from harvesters.reasons import Reason, Value, as_reason, other
from journal.errors import JournalError


class HarvestError(Exception):
    """A run cannot continue; the last good data stays published.

    The message is a reason, or a text: with *values* it becomes the reason with these. *outcome* is
    the name under which the error is counted, *exit_code* that of a command it ends: 2 if a setting
    must be changed.
    """

    outcome: str = "failed"
    exit_code: ClassVar[int] = 1

    def __init__(self, *messages: str | Reason, **values: Value) -> None:
        super().__init__(*([Reason(str(messages[0]), **values)] if values else messages))

    @property
    def reason(self) -> Reason:
        """Return the reason with which the error was raised, or one that has only its English text."""
        message = self.args[0] if self.args else ""
        return message if isinstance(message, Reason) else other(self)


class SourceDefinitionError(HarvestError):
    """A source definition is invalid: *faults* are reasons, or texts in English; each is a line of
    the message.
    """

    def __init__(self, *faults: str | Reason) -> None:
        super().__init__(*faults)
        self.faults = tuple(map(as_reason, faults))

    def __str__(self) -> str:
        return "\n".join(fault.text for fault in self.faults)

    @property
    def reason(self) -> Reason:
        """Return the fault, or the English texts of several."""
        return self.faults[0] if len(self.faults) == 1 else other(self)


class FetchError(HarvestError):
    """A request to a registry failed."""


class RefusedError(FetchError):
    outcome = "refused"


class InvalidURLError(RefusedError):
    outcome = "invalid_url"


class TooManyRedirectsError(FetchError):
    outcome = "redirect_loop"


class TooLargeError(FetchError):
    outcome = "too_large"


class ForbiddenError(FetchError):
    outcome = "denied"


class NotFoundError(ForbiddenError):
    outcome = "missing"


class BotProtectionError(FetchError):
    outcome = "bot_protection"


class RobotsError(FetchError):
    outcome = "robots"


class QuietHoursError(FetchError):
    outcome = "quiet_hours"


class TemporaryFetchError(FetchError):
    outcome = "unavailable"


class RetryLaterError(TemporaryFetchError):
    """A registry asks to retry after *after* seconds, None if it does not say when."""

    def __init__(self, message: str | Reason, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class LimitedError(RetryLaterError):
    outcome = "limited"


class UnavailableError(RetryLaterError):
    """A registry reports that it is unavailable."""


class TransferError(TemporaryFetchError):
    """There is no complete response: no connection was made (*outcome* "unreachable"), or it was
    silent ("stalled") or ended early ("truncated"), or the response is not in the encoding that it
    declares ("undecodable") or not HTTP ("malformed").
    """

    def __init__(
        self, message: str | Reason, outcome: str = "unreachable", **values: Value
    ) -> None:
        super().__init__(message, **values)
        self.outcome = outcome


class UnexpectedStatusError(TemporaryFetchError):
    outcome = "unexpected"


class SourceLockedError(HarvestError):
    """Another run of the same source is in progress."""


class ParseError(HarvestError):
    """A response does not follow its protocol."""


class WebPageError(ParseError):
    outcome = "web_page"


class CharsetError(ParseError):
    outcome = "charset"


class CrashingReplyError(ParseError):
    outcome = "crashing"


class RepeatedPageError(ParseError):
    outcome = "repeated"


class PaginationLoopError(ParseError):
    outcome = "endless"


class MirrorError(HarvestError):
    """A journal is not a mirror of this origin, or the origin cannot be followed."""


class DeliveryError(HarvestError):
    """A message was not delivered.

    *is_permanent*: its receiver refused it for good. *is_unreachable*: its server accepts no mail.
    """

    def __init__(
        self, text: str, *, is_permanent: bool = False, is_unreachable: bool = False
    ) -> None:
        super().__init__(text)
        self.is_permanent, self.is_unreachable = is_permanent, is_unreachable


class IdentityError(HarvestError):
    """A pair or a table of decisions cannot be used as requested; nothing was stored."""


class PrizeError(HarvestError):
    exit_code = 2


class UnknownError(HarvestError):
    """A person named something that does not exist."""


class InvalidInputError(HarvestError):
    """The input of a person is not valid."""


class PlanError(HarvestError):
    """A plan cannot be approved, rejected, held or released as requested."""


class ArchiveError(HarvestError):
    """The archive cannot be written, or lacks a response to read again."""


class DataDirectoryError(HarvestError):
    """A file of the data directory cannot be written."""


class CrashLoopError(HarvestError):
    """The process of a run crashes repeatedly."""


class CheckTimeoutError(HarvestError):
    """The time of a check of a feed is used up."""


class ClusterError(HarvestError):
    """A Dask cluster does not answer, has no workers, or workers with other code."""


class ClusterLostError(ClusterError):
    """A Dask cluster no longer answers; its work is done locally."""


class LedgerError(HarvestError):
    """The ledger cannot be read or written."""


class EncodingError(LedgerError):
    exit_code = 2


class SchemaVersionError(LedgerError):
    exit_code = 2


class LockLostError(LedgerError):
    """A run lost its lock, e.g. because the database connection broke; it must not write anything
    more.
    """


def error_reason(error: HarvestError | JournalError) -> Reason:
    """Return the reason of an error: its message with values if it has any, else its text.

    >>> from journal.errors import JournalWriteError
    >>> error_reason(JournalWriteError("no space")).code
    'other'
    """
    if isinstance(error, JournalError):
        return Reason(error.message, **error.values) if error.values else other(error)
    return error.reason


# The module of PanicException, which libraries in Rust raise and which is no Exception.
_PANIC = "pyo3_runtime"
_LENGTH = 200  # characters of a library's message that ours repeats


@contextmanager
def parser_errors(subject: str | Reason) -> Iterator[None]:
    """Raise ParseError, whose message begins with *subject*, for any exception of a parsing library
    inside the block.

    A HarvestError passes unchanged, and so do KeyboardInterrupt, SystemExit and GeneratorExit.

    >>> with parser_errors("a.json: not JSON"):
    ...     int("x")
    Traceback (most recent call last):
    harvesters.errors.ParseError: a.json: not JSON: invalid literal for int() with base 10: 'x'
    """
    try:
        yield
    except HarvestError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__module__ != _PANIC:
            raise
        raise ParseError(
            Reason("%(subject)s: %(error)s", subject=subject, error=message(error))
        ) from error


def with_parser_errors(search: Callable[[Any], Any], subject: str) -> Callable[[Any], Any]:
    """Return *search* wrapped in ``parser_errors``."""

    def find(node: Any) -> Any:
        try:
            return search(node)
        except Exception:
            # Entering the context earlier would take longer than most searches.
            with parser_errors(subject):
                raise

    return find


ValueT = TypeVar("ValueT")


def require(value: ValueT | None, error: Exception) -> ValueT:
    """Return *value*; raise *error* if it is false, empty, 0 or None."""
    if not value:
        raise error
    return value


def message(error: BaseException) -> str:
    """Return the message of *error* on one line, with the name of its class if the message alone is
    not clear.

    >>> message(KeyError("a")), message(MemoryError())
    ("KeyError: 'a'", 'MemoryError')
    """
    text = " ".join(str(getattr(error, "msg", None) or error).split())[:_LENGTH]
    named = isinstance(error, SyntaxError | ValueError) or not isinstance(error, Exception)
    return (
        text
        if text and named
        else f"{type(error).__name__}: {text}"
        if text
        else type(error).__name__
    )


def import_optional(module: str, extra: str) -> ModuleType:
    """Return the imported *module*, whose dependencies are those of *extra*. Raise HarvestError if
    they are not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise HarvestError(
            f"{error.name} is not installed; pip install 'stocktake[{extra}]'"
        ) from error

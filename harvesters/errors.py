"""The left wing's errors.

HarvestError
├── CardError        a card is wrong: it names file, key and cure
├── FetchError       the network's door; each class has the name under which ``Fetch.met`` counts it
│   ├── RefusedError     we won't go there: a private address
│   │   └── ElsewhereError   what is no web address
│   ├── LoopError        redirects without end
│   ├── TooLargeError    an answer over the limit of size, as it comes or once it is decoded
│   ├── DeniedError      401, 403: the right to the address is missing
│   │   └── MissingError     404, 410: the address is wrong
│   ├── BotWallError     a bot wall stands before the registry: the message has the line that lets us in
│   ├── RobotsError      robots.txt does not let us in: the message has the line
│   ├── QuietError       the registry's quiet hours: the run goes on after them
│   └── OutageError      no answer now; what stands below is asked again, the last one is not
│       ├── Busy             the registry asks us to come later: ``after`` says when
│       │   ├── LimitedError     429
│       │   └── UnavailableError 500, 502, 503, 504
│       ├── UnreachableError no connection, or one that breaks before an answer begins
│       ├── StalledError     too slow, or silent
│       ├── TruncatedError   a body that ends too soon, or whose chunks are broken
│       ├── UndecodableError a body that is not in the encoding that it declares
│       ├── MalformedError   what comes is no HTTP
│       └── UnexpectedError  any other status
├── BusyError        another run of the same source is under way
├── ParseError       an answer is not what its protocol says
│   ├── WebPageError     a web page came where data was asked for
│   ├── CharsetError     a text is not in the charset that it is said to be in
│   ├── CrashingReplyError  an answer ends or stalls the process that reads it
│   ├── RepeatedError    a page brings what an earlier one brought
│   └── EndlessError     a list that does not end: a token that comes again, empty pages without end
├── MirrorError      another Stocktake cannot be mirrored here
├── PlanError        a plan cannot be approved, rejected, held or released
├── ArchiveError     the archive cannot be written, or does not hold what is to be read again
├── FolderError      another file of the data folder cannot be written
├── JudgeError       all processes died that judged some records
├── CrashLoopError   the process that reads a source's answers ends again and again
├── ClusterError     a Dask cluster cannot be worked with: no answer, no workers, other code
│   └── LostError        it was there, and is gone
└── LedgerError      the ledger is locked, full or of another version
    ├── EncodingError    its database is not in UTF-8
    └── FencedError      the lock that a run holds is lost: another process may have taken the run up
"""

from typing import ClassVar


class HarvestError(Exception):
    """A run cannot go on; its last good data stays.

    *outcome* is its name where outcomes are counted, *exit_code* that of a command which it ends: 2 where a setting is to be changed.
    """

    outcome: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1


class CardError(HarvestError):
    """A source's card is wrong."""


class FetchError(HarvestError):
    """A registry could not be asked."""


class RefusedError(FetchError):
    """An address that we do not visit."""

    outcome = "refused"


class ElsewhereError(RefusedError):
    """An address that is none of the web."""

    outcome = "elsewhere"


class LoopError(FetchError):
    """Redirects that do not end."""

    outcome = "looped"


class TooLargeError(FetchError):
    """An answer that is over its limit."""

    outcome = "too_large"


class DeniedError(FetchError):
    """A registry that refuses us."""

    outcome = "denied"


class MissingError(DeniedError):
    """An address that is not there."""

    outcome = "missing"


class BotWallError(FetchError):
    """A bot wall that stands before a registry, and may well be there without its knowing."""

    outcome = "wall"


class RobotsError(FetchError):
    """A robots.txt that does not let us in."""

    outcome = "robots"


class QuietError(FetchError):
    """A time in which a registry is not to be asked."""

    outcome = "quiet"


class OutageError(FetchError):
    """A registry that does not answer now."""

    outcome = "unavailable"


class Busy(OutageError):
    """A registry that asks us to come again; *after* seconds, None where it does not say when."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class LimitedError(Busy):
    """A registry that was asked too often."""

    outcome = "limited"


class UnavailableError(Busy):
    """A registry that says that it cannot answer now."""


class UnreachableError(OutageError):
    """A registry to which there is no way."""

    outcome = "unreachable"


class StalledError(OutageError):
    """An answer that does not come, or not to its end in time."""

    outcome = "stalled"


class TruncatedError(OutageError):
    """An answer of which a part is missing."""

    outcome = "truncated"


class UndecodableError(OutageError):
    """An answer that is not in the encoding that it declares."""

    outcome = "undecodable"


class MalformedError(OutageError):
    """An answer that is no HTTP."""

    outcome = "malformed"


class UnexpectedError(OutageError):
    """An answer with a status that means nothing here."""

    outcome = "unexpected"


class BusyError(HarvestError):
    """Another run of the same source is under way."""


class ParseError(HarvestError):
    """An answer that is not what its protocol says."""


class WebPageError(ParseError):
    """A web page where data was asked for."""

    outcome = "web_page"


class CharsetError(ParseError):
    """A text that is not in the charset that its header, its card or its mark names."""

    outcome = "charset"


class CrashingReplyError(ParseError):
    """An answer that ends or stalls the process that reads it."""

    outcome = "crashing"


class RepeatedError(ParseError):
    """A page that brings the records of an earlier one."""

    outcome = "repeated"


class EndlessError(ParseError):
    """A list that would go on for ever."""

    outcome = "endless"


class MirrorError(HarvestError):
    """A journal that is no mirror of what it is to follow, or an origin that cannot be followed."""


class PlanError(HarvestError):
    """A plan that cannot be approved, rejected, held or released as asked."""


class ArchiveError(HarvestError):
    """The archive cannot be written, or does not hold what is to be read again."""


class FolderError(HarvestError):
    """A file of the data folder cannot be written."""


class JudgeError(HarvestError):
    """Records that end every process that judges them."""


class CrashLoopError(HarvestError):
    """A run whose process ends again and again."""


class ClusterError(HarvestError):
    """A Dask cluster that does not answer, has no workers, or workers with other code."""


class LostError(ClusterError):
    """A Dask cluster that is gone; its work is done here."""


class LedgerError(HarvestError):
    """The ledger cannot be read or written."""


class EncodingError(LedgerError):
    """A ledger's database that cannot hold every text."""

    exit_code = 2


class FencedError(LedgerError):
    """A run that has lost its lock, as when the way to the database is cut; it must write nothing any more."""

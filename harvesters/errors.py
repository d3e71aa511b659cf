"""The left wing's errors.

HarvestError
├── CardError        a card is wrong: it names file, key and cure
├── FetchError       the network's door
│   ├── RefusedError     we won't go there: a private address, a scheme that is no web address
│   ├── TooLargeError    an answer over the limit of size
│   ├── OutageError      no answer, a 5xx, a 429 that stays
│   └── DeniedError      401, 403, 404, 410: the address or the right to it is wrong
├── BusyError        another run of the same source is under way
├── ParseError       an answer is not what its protocol says
└── LedgerError      the ledger is locked, full or of another version
"""


class HarvestError(Exception):
    """A run cannot go on; its last good data stays."""


class CardError(HarvestError):
    """A source's card is wrong."""


class FetchError(HarvestError):
    """A registry could not be asked."""


class RefusedError(FetchError):
    """An address that we do not visit."""


class TooLargeError(FetchError):
    """An answer that is over its limit."""


class OutageError(FetchError):
    """A registry that does not answer now."""


class DeniedError(FetchError):
    """A registry that refuses us, or an address that is not there."""


class BusyError(HarvestError):
    """Another run of the same source is under way."""


class ParseError(HarvestError):
    """An answer that is not what its protocol says."""


class LedgerError(HarvestError):
    """The ledger cannot be read or written."""

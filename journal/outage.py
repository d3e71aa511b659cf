"""Log a repeated failure once, count it, and log its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()


def root_cause(error: BaseException) -> str:
    """Return the message of the error that began the chain, on one line.

    >>> root_cause(OSError("connection refused\\n\\tIs the server running?"))
    'connection refused Is the server running?'
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(slots=True)
class Outage:
    """Log *event* at the first failure and at each new reason, and *recovery* when it is over;
    *clock* returns seconds.
    """

    event: str
    recovery: str
    clock: Callable[[], float] = time.monotonic
    failures: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)
    _reasons: set[str] = field(default_factory=set, init=False)

    def failed(self, reason: str, **fields: object) -> None:
        """Count a failure; log it where its reason is new."""
        if not self.failures:
            self._since = self.clock()
        self.failures += 1
        if reason not in self._reasons:
            self._reasons.add(reason)
            log.error(self.event, reason=reason, **fields)

    @contextmanager
    def watching(self, *errors: type[Exception]) -> Iterator[None]:
        """Count an error of these classes that ends the block; a block without one is a recovery."""
        try:
            yield
        except errors as error:
            self.failed(str(error))
        else:
            self.over()

    def over(self, **fields: object) -> None:
        """Log the recovery with the number of failures and the seconds since the first; do nothing
        if none was counted.
        """
        if self.failures:
            log.info(
                self.recovery,
                failures=self.failures,
                seconds=round(self.clock() - self._since),
                **fields,
            )
            self.failures = 0
            self._reasons.clear()

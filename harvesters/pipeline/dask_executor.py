"""The cluster: workers on other machines, by Dask. Source: https://distributed.dask.org/en/stable/client.html."""

from __future__ import annotations

import logging
import time
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as Late
from typing import Any, cast

from distributed import Client, KilledWorker
from distributed.comm.core import CommClosedError

from harvesters.errors import ClusterError, ClusterLostError, ValidationCrashError
from harvesters.ledger.models import StagedRecord
from harvesters.pipeline.worker_pool import Parcel, code, done, other
from journal.outage import root_cause

_PATIENCE = 10.0  # seconds for a scheduler to answer, and for a first worker to be there
_LOOK = 15.0  # seconds without a parcel's drafts after which we look whether anybody is left to bring them

_LOST = (CancelledError, CommClosedError, OSError)


def connect(address: str) -> Dask:
    """Join the cluster of the scheduler at *address*.

    Raises ClusterError where it does not answer, has no workers, or has some whose code is not ours.
    """
    library = logging.getLogger("distributed")
    library.handlers.clear()  # what it logs goes through the program's own log, one line for each event
    library.propagate = True
    try:
        client: Any = cast(Any, Client)(address, timeout=_PATIENCE, set_as_default=False, name="stocktake")
    except (OSError, ValueError) as error:
        cure = "start one with `dask scheduler`, or leave STOCKTAKE_DASK away"
        raise ClusterError(f"no Dask scheduler answers at {address} ({error}); {cure}") from error
    try:
        _admit(client, address)
    except ClusterError:
        client.close()
        raise
    return Dask(client, address)


def _admit(client: Any, address: str) -> None:
    """Find out whether there are workers, and whether they have our code."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
        found = client.run(code, on_error="return")
    except (TimeoutError, *_LOST) as error:
        raise ClusterError(f"the Dask scheduler at {address} has no workers; start some with `dask worker {address}`") from error
    ours = code()
    for worker, theirs in found.items():
        if isinstance(theirs, BaseException):
            told = f"stocktake cannot be used there ({type(theirs).__name__}: {theirs}); install it, the same version as here"
            raise ClusterError(f"the Dask worker at {worker}: {told}")
        if theirs != ours:
            raise ClusterError(f"the Dask worker at {worker}: {other(theirs, ours)}")


class Dask:
    """A cluster that was joined. It does itself again what a lost worker had; without the scheduler, or any worker, it is lost."""

    def __init__(self, client: Any, address: str) -> None:
        self.code = code()
        self._client, self._address = client, address
        self._executor = client.get_executor(pure=False)
        self._hands, self._counted = 1, -_LOOK

    @property
    def hands(self) -> int:
        """Give how many parcels are worked on at once: the threads of all workers, counted anew now and then."""
        if time.monotonic() - self._counted > _LOOK:
            self._hands, self._counted = max(1, self._threads()), time.monotonic()
        return self._hands

    def begin(self, parcel: Parcel) -> Future[list[StagedRecord]]:
        """Hand out a parcel; of a scheduler that was lost, one that fails."""
        try:
            begun: Future[list[StagedRecord]] = self._executor.submit(done, parcel)
        except (RuntimeError, *_LOST) as error:
            begun = Future()
            begun.set_exception(OSError(str(error)))
        return begun

    def end(self, parcel: Parcel, begun: Future[list[StagedRecord]]) -> list[StagedRecord]:
        """Return a parcel's drafts; raises ClusterLostError if the cluster is lost, ValidationCrashError if it crashes all workers."""
        while True:
            try:
                return begun.result(_LOOK)
            except Late as error:
                if not self._threads():
                    raise ClusterLostError(f"no worker is left at {self._address}") from error
            except KilledWorker as error:
                cure = "give the workers more memory, then run again"
                raise ValidationCrashError(f"several Dask workers died that judged the same records; {cure} ({error})") from error
            except ImportError as error:
                raise ClusterError(f"a worker of {self._address} has not our code ({error}); install the same version there") from error
            except _LOST as error:
                raise ClusterLostError(f"the scheduler at {self._address} does not answer any more ({root_cause(error)})") from error

    def _threads(self) -> int:
        try:
            return sum(self._client.nthreads().values()) if self._client.status == "running" else 0
        except _LOST:
            return 0

    def close(self) -> None:
        """Leave; what is still under way is dropped."""
        self._client.close()

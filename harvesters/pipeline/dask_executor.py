"""Process records on a Dask cluster. Source: https://distributed.dask.org/en/stable/client.html."""

from __future__ import annotations

import logging
from concurrent.futures import BrokenExecutor, CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, cast

from distributed import Client, KilledWorker
from distributed.comm.core import CommClosedError

from harvesters.errors import ClusterError, ClusterLostError
from harvesters.ledger.models import StagedRecord
from harvesters.pipeline.record_processor import code_fingerprint, execute
from journal.outage import root_cause

_TIMEOUT = 10.0  # seconds to connect to the scheduler, and to wait for a first worker
_CHECK_INTERVAL = 15.0  # seconds between checks that the cluster still has workers

_CONNECTION_ERRORS = (CancelledError, CommClosedError, OSError)


def connect(address: str) -> DaskExecutor:
    """Connect to the cluster of the scheduler at *address*.

    Raises ClusterError if it does not answer or has no workers.
    """
    library = logging.getLogger("distributed")
    library.handlers.clear()  # its messages go through our log, one line each
    library.propagate = True
    try:
        client: Any = cast(Any, Client)(
            address, timeout=_TIMEOUT, set_as_default=False, name="stocktake"
        )
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, or unset STOCKTAKE_DASK"
        ) from error
    try:
        client.wait_for_workers(1, timeout=_TIMEOUT)
    except (TimeoutError, *_CONNECTION_ERRORS) as error:
        client.close()
        raise ClusterError(
            f"the Dask scheduler at {address} has no workers; start some with `dask worker {address}`"
        ) from error
    return DaskExecutor(client, address)


class DaskExecutor:
    """A connected cluster. Dask repeats the work of a lost worker; without the scheduler or any
    worker the cluster is lost.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._code = code_fingerprint()
        self._client, self._address = client, address
        self._executor = client.get_executor(pure=False)
        # Work units at once. Workers that join later take their part of what is sent.
        self.concurrency = max(1, self._count_threads())

    def send(self, task: bytes, records: bytes) -> Future[list[StagedRecord]]:
        """Submit records; if the scheduler was lost, return a failed future."""
        try:
            future: Future[list[StagedRecord]] = self._executor.submit(
                execute, task, records, self._code
            )
        except (RuntimeError, *_CONNECTION_ERRORS) as error:
            future = Future()
            future.set_exception(OSError(str(error)))
        return future

    def result(self, future: Future[list[StagedRecord]]) -> list[StagedRecord]:
        """Wait for results; raise ClusterLostError, or BrokenExecutor if several workers died."""
        while True:
            try:
                return future.result(_CHECK_INTERVAL)
            except FutureTimeoutError as error:
                if not self._count_threads():
                    raise ClusterLostError(f"no worker is left at {self._address}") from error
            except KilledWorker as error:
                raise BrokenExecutor(str(error)) from error
            except ImportError as error:
                raise ClusterError(
                    f"a worker of {self._address} has other code ({error}); install the same version there"
                ) from error
            except _CONNECTION_ERRORS as error:
                raise ClusterLostError(
                    f"the scheduler at {self._address} no longer answers ({root_cause(error)})"
                ) from error

    def _count_threads(self) -> int:
        try:
            return sum(self._client.nthreads().values()) if self._client.status == "running" else 0
        except _CONNECTION_ERRORS:
            return 0

    def shutdown(self, **_: object) -> None:
        """Disconnect; pending work is dropped."""
        self._client.close()

"""Read a registry's responses and map its records in a separate process, the collector.

This process has the network, the ledger and the limits. A collector that exits or stalls is started
again at the last staged page. Its marks say what it was doing: if it mapped a record, that record
is withheld from then on; if it read a response, the response counts as unreadable, and its protocol
reads it in parts if it can.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any

import structlog
import zstandard

from harvesters.errors import ClusterLostError, CrashingReplyError, CrashLoopError, HarvestError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run, StagedRecord
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.pipeline.bounded_call import write_log_line
from harvesters.pipeline.collector import (
    CollectorJob,
    ResultReference,
    unpack_result,
)
from harvesters.pipeline.collector_processes import (
    CollectorBugError,
    CollectorExitedError,
    Collectors,
    Process,
)
from harvesters.pipeline.page_processor import PageCallback, Progress, ProgressCallback
from harvesters.pipeline.process_limits import Phase
from harvesters.pipeline.record_processor import ProcessingTask
from harvesters.pipeline.worker_pool import Executor, WorkerPool, WorkUnit

# Bytes of responses that need not be requested again when a process is started again.
_MAX_CACHED_BYTES = 64 << 20
_MAX_UNEXPLAINED_EXITS = 3  # exits in a row for which neither a response nor a record is the cause
# Calls whose errors the protocol handles.
_FORWARDED_CALLS = {"get", "post", "get_range", "download", "executor", "submit", "result"}

log = structlog.get_logger()

Key = tuple[Any, ...]  # the method and the arguments of a request


@dataclass(slots=True)
class _ReplyCache:
    """The responses since the last staged page: a collector that is started again gets them from
    here, without a request to the registry. Their bodies are compressed.
    """

    cached: deque[tuple[int, Key, Reply]] = field(default_factory=deque)
    replay: deque[tuple[int, Key, Reply]] = field(default_factory=deque)
    size: int = 0

    def find(self, key: Key) -> Reply | None:
        """Remove and return the response to *key* from before the restart, None if there is none."""
        for number, (_, known, reply) in enumerate(self.replay):
            if known == key:
                del self.replay[number]
                return replace(reply, content=zstandard.decompress(reply.content))
        return None

    def add(self, page: int, key: Key, reply: Reply) -> None:
        """Keep the response that came after *page* pages."""
        content = zstandard.compress(reply.content)
        self.cached.append((page, key, replace(reply, content=content)))
        self.size += len(content)
        while self.size > _MAX_CACHED_BYTES and len(self.cached) > 1:
            self._drop()

    def forget_staged(self, pages: int) -> None:
        """Drop the responses of the first *pages* pages, except the last, which may hold more
        pages.
        """
        while len(self.cached) > 1 and self.cached[0][0] < pages:
            self._drop()

    def restart(self) -> None:
        """Make all responses that are kept available again."""
        self.replay, self.cached, self.size = self.cached, deque(), 0

    def _drop(self) -> None:
        self.size -= len(self.cached.popleft()[2].content)


class IsolatedPageReader:
    """Collects one run's pages in a collector process.

    *page* is called for each page before it is staged, and returns the archive's length and the
    counts of requests so far. ``run`` is the state at the last checkpoint; ``irregularities``
    counts repeated pages and decreased totals.
    """

    def __init__(
        self,
        collectors: Collectors,
        pool: WorkerPool,
        ledger: Ledger,
        client: Fetch,
        task: ProcessingTask,
        page: PageCallback,
        watch: ProgressCallback,
        since: datetime | None,
    ) -> None:
        self.run, self.irregularities = task.run, Counter[str]()
        self._collectors, self._pool, self._ledger = collectors, pool, ledger
        self._client, self._task = client, task
        self._on_page, self._on_progress, self._since = page, watch, since
        self._reply_cache = _ReplyCache()
        self._read_pages = self._staged_pages = 0  # pages that were read, and those staged
        # Requests before this reader, and those up to the last page and the last stage.
        self._earlier_requests = Counter(task.run.network)
        self._requests, self._staged_requests = Counter[str](), Counter[str]()
        self._last_reply: Reply | None = None  # without its body
        self._last_size = 0  # bytes of its body
        self._files: dict[int, ExitStack] = {}
        self._submitted: dict[int, tuple[Executor, WorkUnit, Future[list[StagedRecord]]]] = {}
        # By the number of the work unit, until they are staged.
        self._results: dict[int, list[StagedRecord]] = {}
        self._numbers = count()
        self._rejected: dict[str, str] = {}  # digests of records, with the reasons
        # Addresses and marks of replies, with the reasons.
        self._crashing_replies: dict[tuple[str, str], str] = {}
        self._one_by_one = False
        self._crashes = self._unexplained = 0
        self._suspect: object = None
        self._calls: Mapping[str, Callable[..., Any]] = {
            "get": self._get, "post": self._post, "get_range": self._get_range, "download": self._download, "close_file": self._close_file,
            "validator": client.validator, "forget": client.forget, "now": client.now,
            "discard_part": ledger.discard_part, "already_staged": ledger.already_staged,
            "stored_records": ledger.stored_records, "current_descriptions": ledger.current_descriptions,
            "stage": self._stage, "page": self._next_page,
            "executor": self._describe_executor, "submit": self._submit, "result": self._result,
        }  # fmt: skip

    def collect(self) -> None:
        """Stage every page. Raises HarvestError as a protocol's ``collect`` does, and
        CrashLoopError if the process exits too often.
        """
        while True:
            process = self._collectors.start()
            try:
                self._serve(process)
                return
            except CollectorExitedError as reason:
                self._record_exit(process, reason)
                if self._staged_pages and self.run.cursor is None and not self._task.is_remap:
                    return  # the last page was staged
                self._restart()
            finally:
                self._release()
                process.end()

    def _serve(self, process: Process) -> None:
        """Answer the calls of a process until its job ends."""
        earlier = self._earlier_irregularities()
        network = dict(self._earlier_requests + earlier)
        job = CollectorJob(
            self._task, replace(self.run, network=network), self._since, self.run.cursor, self._rejected, self._one_by_one,
            self._pool.record_count, self._client.base, self._client.network.retry_policy.max_bytes,
        )  # fmt: skip
        process.send(job)
        while True:
            name, arguments = process.receive(self._last_size if self._last_reply else 0)
            match name:
                case "log":
                    write_log_line(*arguments)
                case "ended":
                    self.run, irregularities = arguments
                    self.irregularities = earlier + irregularities
                    return
                case "failed":
                    error, irregularities = arguments
                    self.irregularities = earlier + irregularities
                    raise error
                case "fault":
                    expected, text, trace = arguments
                    if not expected:
                        raise CollectorExitedError(f"ends in {text}")
                    fault = CollectorBugError(text)
                    fault.add_note(trace)
                    raise fault
                case _:
                    process.send(self._call(name, arguments))

    def _call(self, name: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
        """Make the call; return False and its result, or True and the error that the process
        raises.
        """
        try:
            return False, self._calls[name](*arguments)
        except HarvestError as error:
            if name not in _FORWARDED_CALLS:
                raise
            return True, error

    def _earlier_irregularities(self) -> Counter[str]:
        """Return what earlier processes of this run counted beside requests."""
        return (
            Counter(self.run.network) - self._staged_requests - self._earlier_requests
            if self._staged_pages
            else Counter()
        )

    def _record_exit(self, process: Process, reason: CollectorExitedError) -> None:
        """Find out what a process was doing when it exited, so that the next one skips it."""
        mark = process.marks.read()
        self._crashes += 1
        source, activity = self._task.source.name, ""
        suspect: object = None
        if mark.phase is Phase.READING and self._last_reply is not None:
            suspect = (self._last_reply.url, self._last_reply.digest)
            activity = f"reading {self._last_reply.url}"
        elif mark.phase is Phase.MAPPING or (mark.phase is Phase.VALIDATING and self._one_by_one):
            suspect, activity = mark.digest, f"{mark.phase.name.lower()} a record"
        elif mark.phase is Phase.VALIDATING:
            suspect, activity = Phase.VALIDATING, "validating a batch of records"
        log.warning(
            "collector exited",
            source=source,
            busy=activity or "nothing",
            reason=str(reason),
            exits=self._crashes,
        )
        self._unexplained = 0 if suspect else self._unexplained + 1
        if (
            self._crashes > self._collectors.limits.crashes
            or self._unexplained > _MAX_UNEXPLAINED_EXITS
        ):
            problem = f"{source}: the process that reads its responses has exited {self._crashes} times in this run"
            raise CrashLoopError(
                f"{problem}; the last time {activity or 'in its own work'} {reason}; the run ends here, the responses are archived"
            )
        # perhaps a person killed it, or the system because another process needed memory
        if reason.foreign and suspect != self._suspect:
            self._suspect = suspect
        elif mark.phase is Phase.READING and self._last_reply is not None:
            self._crashing_replies[self._last_reply.url, self._last_reply.digest] = (
                f"{self._last_reply.url}: reading it {reason}"
            )
        elif suspect is Phase.VALIDATING:
            self._one_by_one = True
        elif suspect:
            self._rejected[mark.digest] = f"{mark.phase.name.lower()} it {reason}"

    def _restart(self) -> None:
        self._reply_cache.restart()
        self._last_reply, self._read_pages = None, self._staged_pages

    def _release(self) -> None:
        """Release the files, work units and results of a process that has ended."""
        for stack in self._files.values():
            stack.close()
        self._files.clear()
        self._submitted.clear()
        self._results.clear()

    def _get(
        self, url: str, params: Mapping[str, str] | None, accept: str, conditional: bool
    ) -> Reply:
        key = ("get", url, params, accept)
        return self._cached(
            key, lambda: self._client.get(url, params, accept=accept, conditional=conditional)
        )

    def _post(self, url: str, body: Mapping[str, str] | bytes, accept: str) -> Reply:
        return self._cached(
            ("post", url, body, accept), lambda: self._client.post(url, body, accept=accept)
        )

    def _get_range(self, url: str, byte_range: range, etag: str | None) -> Reply:
        return self._cached(
            ("get_range", url, byte_range, etag),
            lambda: self._client.get_range(url, byte_range, etag),
        )

    def _cached(self, key: Key, request: Callable[[], Reply]) -> Reply:
        reply = self._reply_cache.find(key) or request()
        if not reply.not_modified:
            self._reply_cache.add(self._read_pages, key, reply)
        return self._readable(reply)

    def _readable(self, reply: Reply) -> Reply:
        """Return the reply; raises CrashingReplyError if reading it has ended a process of this
        run.
        """
        self._last_reply, self._last_size = reply.without_content(), len(reply.content)
        if self._crashing_replies and (
            reason := self._crashing_replies.get((reply.url, reply.digest))
        ):
            raise CrashingReplyError(reason)
        return reply

    def _download(self, url: str, accept: str, conditional: bool) -> tuple[int, Reply]:
        with ExitStack() as stack:
            reply = self._readable(
                stack.enter_context(
                    self._client.download(url, accept=accept, conditional=conditional)
                )
            )
            number = next(self._numbers)
            self._files[number] = stack.pop_all()
        return number, reply

    def _close_file(self, number: int) -> None:
        self._files.pop(number).close()

    def _next_page(self) -> tuple[int, Mapping[str, int], Mapping[str, int]]:
        archived, requests, responses = self._on_page()
        self._read_pages += 1
        self._requests = Counter(requests)
        return archived, dict(requests), dict(responses)

    def _stage(
        self,
        run: Run,
        packed: Sequence[tuple[Any, ...] | ResultReference],
        first: int,
        is_checkpoint: bool,
    ) -> None:
        staged_records = [
            self._results[item.number][item.position]
            if isinstance(item, ResultReference)
            else unpack_result(item)
            for item in packed
        ]
        for number in {item.number for item in packed if isinstance(item, ResultReference)}:
            del self._results[number]
        self._ledger.stage(run, staged_records, first, is_checkpoint=is_checkpoint)
        self._pool.record_count += sum(1 for staged in staged_records if staged.description)
        if not is_checkpoint:
            return
        self.run, self._staged_pages, self._staged_requests = (
            run,
            self._staged_pages + 1,
            self._requests,
        )
        self._reply_cache.forget_staged(self._staged_pages)
        self._on_progress(
            Progress(run.source, run.pages, first + len(staged_records), run.reported_total)
        )

    def _describe_executor(self) -> tuple[str, int] | None:
        executor = self._pool.executor()
        return None if executor is None else (executor.code, executor.concurrency)

    def _submit(self, unit: WorkUnit) -> tuple[int, int]:
        executor = self._pool.executor()
        assert executor is not None
        number = next(self._numbers)
        self._submitted[number] = (executor, unit, executor.submit(unit))
        return number, executor.concurrency

    def _result(self, number: int) -> int:
        """Wait for the results of a work unit, keep them until they are staged, and return their
        number.
        """
        executor, unit, future = self._submitted.pop(number)
        try:
            self._results[number] = executor.result(unit, future)
            return len(self._results[number])
        except ClusterLostError as error:
            self._pool.fall_back_to_local(executor, str(error))
            raise

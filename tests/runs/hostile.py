"""A child process in which some responses and records crash or stall the parser or the mapping.

A response or record is hostile if it contains a key of ``ATTACKS``. The attack is real: a signal,
an allocation, an endless loop.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from harvesters.mappings.mapping import MAPPINGS
from harvesters.pipeline.processes import ChildProcesses, ProcessLimits
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.runs.collect import run_child

_JSON, _FIELDS = PROTOCOLS["json"], MAPPINGS["fields"]  # looking them up imports their modules
LIMITS = ProcessLimits(memory=1 << 30, seconds=2, silence=120, crashes=12)


class Panic(BaseException):
    """Stands for a panic of a Rust library: it is no Exception, so that usual handlers miss it."""


def _panic() -> None:
    raise Panic("index out of bounds")


def _allocate() -> None:
    blocks = [b""]
    while True:
        # Writing to the block would take so long that the time limit came before the memory limit.
        blocks.append(bytes(64 << 20))


def _loop() -> None:
    while True:
        pass


ATTACKS: Mapping[str, Callable[[], None]] = {
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV), "abort": os.abort, "allocate": _allocate, "loop": _loop,
    "sleep": lambda: time.sleep(3600), "panic": _panic,
}  # fmt: skip
REASONS: Mapping[str, str] = {
    "segfault": "ends its process by SIGSEGV", "abort": "ends its process by SIGABRT, as libraries do at the limit of memory (1.0 GiB)",
    "allocate": "needs more than 1.0 GiB of memory", "loop": "takes more than 2 s of processor time", "sleep": "does not end within 6 s",
    "panic": "ends in Panic: index out of bounds",
}  # fmt: skip


def children(kind: str = "", limits: ProcessLimits = LIMITS) -> ChildProcesses:
    """Return child processes in which responses and records may be hostile, with a short timeout
    for "sleep".
    """
    silent = replace(limits, silence=6) if kind == "sleep" else limits
    return ChildProcesses(silent, run_hostile_child)


def _act(content: bytes, kind: str) -> None:
    for word, attack in ATTACKS.items():
        if f"{word} the {kind}".encode() in content:
            attack()


@dataclass(frozen=True)
class _Client:
    real: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def get(self, *arguments: Any, **more: Any) -> Any:
        reply = self.real.get(*arguments, **more)
        _act(reply.content, "parser")
        return reply

    @contextmanager
    def download(self, *arguments: Any, **more: Any) -> Iterator[Any]:
        with self.real.download(*arguments, **more) as reply:
            _act(reply.content, "parser")
            yield reply


def _register() -> None:
    protocols, mappings = cast(Any, PROTOCOLS)._entries, cast(Any, MAPPINGS)._entries
    protocols["json"] = replace(_JSON, collect=_collect(_JSON.collect))
    mappings["fields"] = replace(
        _FIELDS, prepare=lambda *arguments: _read(_FIELDS.prepare(*arguments))
    )


def _collect(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda source, client, since, cursor=None: real(source, _Client(client), since, cursor)


def _read(real: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(record: Any) -> Any:
        _act(record.raw, "mapping")
        return real(record)

    return read


def run_hostile_child(*arguments: Any) -> Any:
    _register()
    return run_child(*arguments)

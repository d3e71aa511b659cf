"""Run a function in a process of its own, record its system calls that change files, and kill it
before one of them.

A seccomp filter stops the process at these calls only, and ptrace reports each to its parent. So
the code under test needs no hooks, writes of databases are included, and the kill is a real
SIGKILL.

Sources: https://man7.org/linux/man-pages/man2/ptrace.2.html and
https://man7.org/linux/man-pages/man2/seccomp.2.html
"""

from __future__ import annotations

import ctypes
import os
import pickle
import platform
import signal
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from processes import end_with_parent

CALLS = {
    "x86_64": {
        "write": 1, "pwrite64": 18, "writev": 20, "ftruncate": 77, "truncate": 76, "fsync": 74, "fdatasync": 75, "rename": 82, "mkdir": 83,
        "rmdir": 84, "link": 86, "unlink": 87, "mkdirat": 258, "unlinkat": 263, "renameat": 264, "linkat": 265, "fallocate": 285,
        "pwritev": 296, "renameat2": 316, "copy_file_range": 326, "pwritev2": 328, "sendfile": 40,
    },
    "aarch64": {
        "write": 64, "pwrite64": 68, "writev": 66, "ftruncate": 46, "truncate": 45, "fsync": 82, "fdatasync": 83, "mkdirat": 34,
        "unlinkat": 35, "renameat": 38, "linkat": 37, "fallocate": 47, "pwritev": 70, "renameat2": 276, "copy_file_range": 285,
        "pwritev2": 287, "sendfile": 71,
    },
}  # fmt: skip
# The position of the argument that is the new name of the file.
_NEW_NAME = {"rename": 1, "renameat": 3, "renameat2": 3, "link": 1, "linkat": 3}
_LONGEST = 4096  # bytes of a path
_TRACEME, _CONT, _SETOPTIONS, _SYSCALL_INFO = 0, 7, 0x4200, 0x420E
_FORK, _VFORK, _CLONE, _SECCOMP, _EXITKILL = 1 << 1, 1 << 2, 1 << 3, 1 << 7, 1 << 20
_STOPPED = signal.SIGTRAP | 7 << 8  # wait status at a call stopped by the filter
_WALL = 0x40000000  # __WALL: include threads
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN, _TRACE, _ALLOW = 0x20, 0x15, 0x06, 0x7FF00000, 0x7FFF0000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


@dataclass
class TraceResult:
    """The recorded *calls*, whether the process was *killed* before making the last of them, and
    its exit *code*.
    """

    calls: list[str] = field(default_factory=list)
    killed: bool = False
    code: int | None = None


def trace(work: Callable[[], None], at: int | None, errors: Path) -> TraceResult:
    """Run *work* in a fork and kill it before call number *at*, counted from 1 (None: never).
    Tracebacks go to the file *errors*.
    """
    reading, writing = os.pipe()
    tracer = os.fork()
    if not tracer:
        os.close(reading)
        _trace_and_report(work, at, errors, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        message = pipe.read()
    os.waitpid(tracer, 0)
    result: TraceResult | OSError = pickle.loads(message)
    if isinstance(result, OSError):
        raise result
    return result


def _trace_and_report(work: Callable[[], None], at: int | None, errors: Path, pipe_fd: int) -> None:
    """Trace in a process without other children: the tracer waits for any child, and would collect
    theirs too.
    """
    end_with_parent()
    try:
        result: TraceResult | OSError = _begin(work, at, errors)
    except OSError as error:
        result = error
    finally:
        with open(pipe_fd, "wb") as pipe:
            pipe.write(pickle.dumps(result))
        os._exit(0)


def _begin(work: Callable[[], None], at: int | None, errors: Path) -> TraceResult:
    child = os.fork()
    if not child:
        _run_traced(work, errors)
    os.waitpid(child, 0)
    _ptrace(_SETOPTIONS, child, data=_FORK | _VFORK | _CLONE | _SECCOMP | _EXITKILL)
    _ptrace(_CONT, child)
    return _follow(child, at)


def refusal() -> str | None:
    if platform.machine() not in CALLS:
        return f"no numbers of kernel calls for {platform.machine()}"
    try:
        result = trace(_try, None, Path(os.devnull))
    except OSError as error:
        return f"processes cannot be traced here: {error}"
    return (
        None
        if any(name.startswith("mkdir") for name in result.calls)
        else "processes cannot be traced here: no call was seen"
    )


def _try() -> None:
    with suppress(OSError):
        os.mkdir("/proc/none")


def _follow(child: int, at: int | None) -> TraceResult:
    names = {number: name for name, number in CALLS[platform.machine()].items()}
    result = TraceResult()
    while True:
        try:
            task, status = os.waitpid(-1, _WALL)
        except ChildProcessError:
            return result
        if os.WIFSTOPPED(status):
            if status >> 8 == _STOPPED and not result.killed:
                result.calls.append(_describe_call(task, names))
                if len(result.calls) == at:
                    os.kill(child, signal.SIGKILL)
                    result.killed = True
                    continue
            _continue(task, status)
        elif task == child:
            result.code = os.waitstatus_to_exitcode(status)


def _continue(task: int, status: int) -> None:
    number = os.WSTOPSIG(status)
    is_own = number not in (signal.SIGTRAP, signal.SIGSTOP)  # a signal for the process itself
    _libc.ptrace(_CONT, task, None, number if is_own else None)  # fails if it has exited


def _describe_call(task: int, names: dict[int, str]) -> str:
    buffer = ctypes.create_string_buffer(88)
    _libc.ptrace(_SYSCALL_INFO, task, 88, ctypes.addressof(buffer))
    number, *arguments = struct.unpack_from("7Q", buffer, 24)
    name = names.get(int(number), "?")
    return f"{name} {_text(task, arguments[_NEW_NAME[name]])}" if name in _NEW_NAME else name


def _text(task: int, address: int) -> str:
    try:
        with Path(f"/proc/{task}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            return os.fsdecode(memory.read(_LONGEST).partition(b"\0")[0])
    except OSError:  # the task has exited
        return "?"


def _ptrace(request: int, task: int, data: int | None = None) -> None:
    if _libc.ptrace(request, task, None, data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _run_traced(work: Callable[[], None], errors: Path) -> None:
    code = 1
    try:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        _ptrace(_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        _filter(list(CALLS[platform.machine()].values()))
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _filter(numbers: list[int]) -> None:
    count = len(numbers)
    program = [
        (_LOAD, 0, 0, 0),
        *((_EQUAL, count - position, 0, number) for position, number in enumerate(numbers)),
    ]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _TRACE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    buffer = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    )
    if _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or _libc.prctl(
        _SET_SECCOMP, _FILTER, ctypes.c_void_p(ctypes.addressof(buffer)), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "no filter can be set")

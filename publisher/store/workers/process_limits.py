"""Limits of a worker process: no sockets, and at most a given amount of memory.

The kernel refuses sockets by a seccomp filter (https://docs.kernel.org/userspace-api/seccomp_filter.html): the engine
would follow SERVICE out to the network, and ``federation`` alone should not be all that stands before it.
"""

from __future__ import annotations

import ctypes
import platform
import resource
import sys

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2  # of <linux/prctl.h> and <linux/seccomp.h>
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of <linux/bpf_common.h>
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | 13  # go on; fail with EACCES
_SOCKET = {"x86_64": 41, "aarch64": 198, "riscv64": 198}  # the number of socket(2)


class _Step(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.POINTER(_Step)))


def refuse_sockets() -> bool:
    """Let this process open no more sockets; return whether the system can (Linux on a known processor)."""
    number = _SOCKET.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    steps = (_Step * 4)(
        _Step(_LOAD, 0, 0, 0),
        _Step(_JUMP_IF_EQUAL, 0, 1, number),
        _Step(_RETURN, 0, 0, _DENY),
        _Step(_RETURN, 0, 0, _ALLOW),
    )
    program = _Program(len(steps), steps)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0 and libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0) == 0)


def limit_memory(size: int) -> None:
    """Let this process map at most *size* bytes; what asks for more fails or aborts, and leaves no core on the disk, which others feel."""
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

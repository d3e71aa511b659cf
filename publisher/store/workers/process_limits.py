"""Limit a worker process: it may open no sockets, and map only a given amount of memory.

The kernel refuses sockets by a seccomp filter
(https://docs.kernel.org/userspace-api/seccomp_filter.html): the engine would send SERVICE requests
to the network, and ``service_detection`` should not be the only protection against that.
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


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("yes", ctypes.c_ubyte),
        ("no", ctypes.c_ubyte),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.POINTER(_Instruction)))


def refuse_sockets() -> bool:
    """Forbid this process to open sockets; return whether the system supports that (Linux on a
    known architecture).
    """
    number = _SOCKET.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    steps = (_Instruction * 4)(
        _Instruction(_LOAD, 0, 0, 0),
        _Instruction(_JUMP_IF_EQUAL, 0, 1, number),
        _Instruction(_RETURN, 0, 0, _DENY),
        _Instruction(_RETURN, 0, 0, _ALLOW),
    )
    program = _Program(len(steps), steps)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
        and libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0) == 0
    )


def limit_memory(size: int) -> None:
    """Limit the address space of this process to *size* bytes and disable core dumps, which would
    fill the disk.
    """
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

"""Intel's AMX, whose registers a Linux process has to ask for."""

import ctypes
import platform
from functools import cache

_ARCH_PRCTL, _REQUEST, _TILE_DATA = 158, 0x1023, 18  # of x86-64 Linux: asm/unistd.h, asm/prctl.h


@cache
def allowed() -> bool:
    """Whether this process may use AMX, from now on, in all of its threads and forks.

    Where it is asked for a second time, as by oneDNN, nothing changes.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return False
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    return syscall(_ARCH_PRCTL, _REQUEST, ctypes.c_ulong(_TILE_DATA)) == 0

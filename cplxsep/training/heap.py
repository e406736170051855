"""Memory of the process in which a run trains."""

import ctypes
import os

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_MOST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let a process keep what it frees, for the next step needs it again.

    Else a step's larger tensors come from the system and go back to it each time, and for every
    page of them the kernel is called: up to a fifth of a step on a CPU. In huge pages it takes
    another fifth less; torch reads whether to ask for them when it first allocates, so call this
    before. Other C libraries than glibc are left alone.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _MOST)

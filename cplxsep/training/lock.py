"""One run at a time in a folder."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cplxsep.errors import InputError, UsageError


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a run's folder, made where it is not there; one that stays empty is removed again.

    The lock is on the folder itself and ends with the process. Windows has none.

    Raises:
        UsageError: another process holds the folder.
        InputError: it cannot be made.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InputError(f"cannot use the folder {folder}: {error.strerror}") from None
    try:
        with suppress(OSError):  # of file systems without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another run is at work in {folder}: wait for it, or choose another --run-dir"
                ) from None
        yield
    finally:
        os.close(handle)
        if made:
            with suppress(OSError):
                folder.rmdir()

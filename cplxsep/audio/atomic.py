"""Files that appear whole or not at all."""

import errno
import os
import stat
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from cplxsep.errors import InputError

TEMPORARY = ".cplxsep-*.tmp"
_TRIAL = bytes(1 << 20)


@contextmanager
def replacing(path: Path, *failures: type[Exception]) -> Iterator[Path]:
    """A temporary file beside `path` to write; it takes the place of `path` when all went well.

    OSError, and `failures` where a library has its own, become an InputError; so does a pipe or
    device there, which would be gone.
    """
    if _is_special(path):
        raise _not_regular(path)
    kinds: tuple[type[Exception], ...] = (OSError, *failures)
    try:
        with temporary(path) as draft:
            try:
                yield draft
            except kinds as error:
                known = getattr(error, "strerror", None)
                raise _failure(path, error if known else _refusal(draft) or error) from error
            os.replace(draft, path)
    except OSError as error:
        raise _failure(path, error) from error


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, of a name that listings do not show; gone at the end.

    A run that was killed cannot remove its own: the next that writes in the folder does. Whoever
    uses one holds a lock on it, which ends with the process.

    InputError: no file can be made there.
    """
    sweep(os.path.abspath(path.parent))
    try:
        draft, file = _locked_draft(path)
    except OSError as error:
        raise _failure(path, error) from error
    with file:
        try:
            yield draft
        finally:
            with suppress(OSError):
                draft.unlink()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. InputError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def check_target(path: Path, *, text: bool = False) -> None:
    """Make the folder of a file that will be written. InputError, before the work: it cannot be.

    text: by `write_text`, which takes pipes and devices as well.
    """
    make_folder(path.parent)
    if os.path.isdir(path):
        raise InputError(f"cannot write {path}: it is a folder")
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:  # its name is too long
        raise _failure(path, error) from error
    if not _is_special(path):
        with temporary(path):
            pass
    elif not text or not _takes_text(path):
        raise _not_regular(path)
    elif not os.access(path, os.W_OK):
        raise _failure(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, line ends as given. InputError where that fails.

    Names of files that are no valid text are written as the very bytes that they are. A pipe or
    device, such as /dev/stdout, gets the text itself.
    """
    if _is_special(path):
        _write_into(path, text.encode(errors="surrogateescape"))
        return
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def _write_into(path: Path, data: bytes) -> None:
    """Write to what is no file of its own. InputError where that fails."""
    if not _takes_text(path):
        raise _not_regular(path)
    try:
        with path.open("ab") as file:
            file.write(data)
    except OSError as error:
        raise _failure(path, error) from error


def _is_special(path: Path) -> bool:
    """Whether something is there, links followed, whose place no file can take.

    The names in /dev and /proc of what a process has open stand for it, even where it is a file.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        return False  # which says so itself
    place = os.path.realpath(path.parent)
    return not stat.S_ISREG(mode) or place == "/dev" or place.startswith(("/proc/", "/dev/fd"))


def _takes_text(path: Path) -> bool:
    """Whether text can be written into what is special: no disk or socket."""
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _not_regular(path: Path) -> InputError:
    return InputError(f"cannot write {path}: it is no regular file: name another")


@cache
def sweep(folder: str) -> None:
    """Remove temporary files that no process holds, once for each folder."""
    for left in Path(folder).glob(TEMPORARY):
        with suppress(OSError), left.open("r+b") as file:
            if _locked(file.fileno()):
                left.unlink()


def _locked_draft(path: Path) -> tuple[Path, BinaryIO]:
    """A new temporary file beside `path`, locked where there are locks; else it is closed."""
    while True:
        draft = path.parent / TEMPORARY.replace("*", uuid.uuid4().hex)
        # Made here, so that the user's umask decides who may read it.
        file = draft.open("xb")
        if not _locked(file.fileno(), wait=True):
            file.close()  # Windows, which has no such locks, renames no file that is open.
        if os.path.lexists(draft):
            return draft, file
        file.close()  # Another process swept it away before it was locked.


def _locked(handle: int, wait: bool = False) -> bool:
    """Lock an open file. False: another process holds it, or there are no locks here.

    wait: until no other holds it; one that sweeps does so for a moment.
    """
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _refusal(draft: Path) -> OSError | None:
    """Why the system lets a file not grow, where a library only says that it does not."""
    try:
        with draft.open("ab", buffering=0) as file:
            while file.write(_TRIAL) < len(_TRIAL):
                pass  # a disk takes what it can before it fails
    except OSError as error:
        return error
    return None


def _failure(path: Path, error: Exception) -> InputError:
    why = getattr(error, "strerror", None) or str(error) or "not all could be written"
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        why = f"the disk of {path.parent} is full ({why})"
    return InputError(f"cannot write {path}: {why}")

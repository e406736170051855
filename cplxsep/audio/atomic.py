"""Files that appear whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cplxsep.errors import InputError

TEMPORARY = ".cplxsep-*.tmp"


@contextmanager
def replacing(path: Path, *failures: type[Exception]) -> Iterator[Path]:
    """A temporary file beside `path` to write; it takes the place of `path` when all went well.

    OSError, and `failures` where a library has its own, become an InputError.
    """
    kinds: tuple[type[Exception], ...] = (OSError, *failures)
    temporary = path.parent / TEMPORARY.replace("*", uuid.uuid4().hex)
    try:
        # Made here, so that the user's umask decides who may read it.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        os.replace(temporary, path)
    except kinds as error:
        why = getattr(error, "strerror", None) or str(error) or "the disk is full"
        raise InputError(f"cannot write {path}: {why}") from error
    finally:
        # On a read-only disk even the name of no file cannot be removed.
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, line ends as given. InputError where that fails.

    Names of files that are no valid text are written as the very bytes that they are.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")

"""What all commands share: where text goes, and how errors become one line."""

import io
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

import typer
from rich.console import Console

from cplxsep.errors import CplxsepError, InputError, Note, UsageError
from cplxsep.interrupts import INTERRUPTS

if TYPE_CHECKING:
    from rich.progress import Progress


@dataclass
class Verbosity:
    """Set once by the application's callback: -1 quiet, 0 normal, 1 verbose, 2 tracebacks."""

    level: int = 0


class _Unfailing(io.TextIOWrapper):
    """Standard error: once it takes no more, for want of a reader or of room, work goes on."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            _to_nowhere(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            _to_nowhere(self)


Item = TypeVar("Item")
verbosity = Verbosity()
stderr = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def stdout(text: str) -> None:
    """Print one result on stdout; nothing more once the reader of a pipe has seen enough.

    InputError, once: it cannot be written.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        raise InputError("cannot write to standard output: it is closed")
    try:
        with _bars_aside():
            try:
                sys.stdout.write(f"{text}\n")
            except UnicodeEncodeError as error:  # as in a terminal of another code page
                known = text.encode(error.encoding, "backslashreplace")
                sys.stdout.write(f"{known.decode(error.encoding)}\n")
            sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere(sys.stdout)
    except OSError as error:
        _to_nowhere(sys.stdout)
        why = error.strerror or str(error)
        raise InputError(f"cannot write to standard output: {why}") from error


def _to_nowhere(stream: TextIO) -> None:
    """What is still in the buffer must not fail again when Python ends."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def note(text: str, *, at: int = 0) -> None:
    """Print one line on stderr if the user asked for as much: 0 without -q, 1 with -v."""
    if verbosity.level >= at:
        stderr.print(text, markup=False)


def fail(error: CplxsepError) -> None:
    """Report an error as one line on stderr, even with -q."""
    message = " ".join(str(error).split())
    stderr.print(f"error: {message}", markup=False)


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Iterate with a progress bar on stderr; none when stderr is no terminal or with -q."""
    with bars() as bar:
        yield from bar(items, description, total)


Bar = Callable[[Iterable[Item], str, int | None], Iterator[Item]]
_shown: "Progress | None" = None


@contextmanager
def bars() -> Iterator[Bar]:
    """What puts a progress bar to items; several at a time, from several threads, may be used."""
    from rich.progress import Progress

    global _shown
    progress = Progress(
        console=stderr,
        transient=True,
        disable=verbosity.level < 0 or not stderr.is_terminal,
        # It would send what is printed on stdout to stderr.
        redirect_stdout=False,
        redirect_stderr=False,
    )

    def bar(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
        task = progress.add_task(description, total=total)
        try:
            for item in items:
                yield item
                progress.advance(task)
        finally:
            progress.remove_task(task)

    with progress:
        _shown = progress
        try:
            yield bar
        finally:
            _shown = None


@contextmanager
def _bars_aside() -> Iterator[None]:
    """Take the bars away while something is printed beside them."""
    if _shown is None or _shown.disable or not sys.stdout.isatty():
        yield
        return
    _shown.stop()
    yield
    _shown.start()


def on_disk(param: typer.CallbackParam, value: Path | None) -> Path | None:
    """Callback of options that name what is written. UsageError for what means standard output."""
    if value == Path("-"):
        raise UsageError(f"{param.opts[-1]} -: name a place on disk, not standard output")
    return value


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM. Not KeyboardInterrupt: Typer would turn that into exit code 1."""


def _interrupt(_signal: int, _frame: object) -> None:
    raise Interrupted


@contextmanager
def _notes() -> Iterator[None]:
    """Tell notes on inputs as lines, each once: some files are read more than once."""
    told: set[str] = set()
    show = warnings.showwarning

    def tell(message: Warning | str, category: type[Warning], *where: object) -> None:
        if not issubclass(category, Note):
            show(message, category, *where)  # type: ignore[arg-type]
        elif (text := str(message)) not in told:
            told.add(text)
            note(f"note: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", Note)
        # Of names in pictures: it draws boxes for what its font lacks, and the names are known.
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing|.*does not support \w+ natively")
        warnings.showwarning = tell  # type: ignore[assignment]
        yield


@contextmanager
def _own_stderr() -> Iterator[None]:
    """Write on a descriptor of our own: the common one is taken away while MP3 is decoded.

    One that never fails, whoever writes on it: an error could be told nowhere.
    """
    before = sys.stderr
    try:
        if before.fileno() != 2:
            raise OSError
        own = _Unfailing(
            os.fdopen(os.dup(2), "wb"),
            encoding=before.encoding,
            errors="backslashreplace",
            line_buffering=True,
        )
    except (OSError, ValueError, AttributeError):  # a stand-in, or none at all
        yield
        return
    sys.stderr = own
    try:
        yield
    finally:
        own.flush()  # not closed: loggers may hold it
        sys.stderr = before


def run(command: Callable[[], object]) -> int:
    """Run the application; errors meant for people become one line and their exit code."""
    before = {number: signal.signal(number, _interrupt) for number in INTERRUPTS}
    # It complains of a home folder that cannot be written, and does without.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Paths need not be valid text; what goes out must be the very bytes that came in.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        with _own_stderr():
            return _exit_code(command)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_code(command: Callable[[], object]) -> int:
    try:
        with _notes():
            command()
    except CplxsepError as error:
        return _ended_by(error)
    except OSError as error:  # wherever the system refuses a name or a place of the user's
        where = "" if error.filename is None else f"{error.filename}: "
        return _ended_by(InputError(f"{where}{error.strerror or error}"))
    except Interrupted:
        stderr.print("interrupted", markup=False)
        return 130
    return 0


def _ended_by(error: CplxsepError) -> int:
    if verbosity.level >= 2:
        traceback.print_exc()
    fail(error)
    return error.exit_code


def verified(name: str) -> str | None:
    """What could not be checked of a model that works. ModelError."""
    from cplxsep.engine.check import check
    from cplxsep.model_folder import catalogue

    return check(catalogue.resolve(name))

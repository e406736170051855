"""What all commands share: where text goes, and how errors become one line."""

import io
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console

from cplxsep.errors import CplxsepError


@dataclass
class Verbosity:
    """Set once by the application's callback: -1 quiet, 0 normal, 1 verbose, 2 tracebacks."""

    level: int = 0


Item = TypeVar("Item")
verbosity = Verbosity()
stderr = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def stdout(text: str) -> None:
    """Print one result on stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


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
    from rich.progress import track as rich_track

    hidden = verbosity.level < 0 or not stderr.is_terminal
    yield from rich_track(
        items, description, total=total, console=stderr, disable=hidden, transient=True
    )


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM. Not KeyboardInterrupt: Typer would turn that into exit code 1."""


def _interrupt(_signal: int, _frame: object) -> None:
    raise Interrupted


def run(command: Callable[[], object]) -> int:
    """Run the application; errors meant for people become one line and their exit code."""
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Paths need not be valid text; what goes out must be the very bytes that came in.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        command()
    except CplxsepError as error:
        if verbosity.level >= 2:
            traceback.print_exc()
        fail(error)
        return error.exit_code
    except Interrupted:
        stderr.print("interrupted", markup=False)
        return 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0

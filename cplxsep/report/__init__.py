"""What a command tells at its end: a table, JSON, CSV, and the exit code that follows."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cplxsep.audio.atomic import write_text


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Plain text table; numbers stand right with two decimals, None is a dash.

    No colour and no lines: it reads the same on a terminal, in a file and in a pipe.
    """
    from rich.console import Console
    from rich.table import Table

    rows = [list(row) for row in rows]
    grid = Table(box=None, pad_edge=False, header_style="")
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float | None) for row in rows)
        grid.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*map(_cell, row))
    text = io.StringIO()
    # Wide enough that nothing is ever cut, whatever the terminal.
    console = Console(file=text, width=10_000, color_system=None, markup=False, emoji=False)
    console.print(grid)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def to_json(value: Mapping[str, Any]) -> str:
    """One JSON object as text. ValueError for NaN and infinity, which JSON does not have."""
    return json.dumps(value, indent=2, allow_nan=False, default=str)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all; None is an empty field. InputError: not writable."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def exit_code(failed: Sequence[object], missed: Sequence[object] = ()) -> int:
    """1 if any input failed or any threshold was missed, else 0."""
    return 1 if failed or missed else 0

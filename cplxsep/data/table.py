"""CSV tables as people have them: from spreadsheets, with a byte order mark, CRLF, spaces."""

import csv
from pathlib import Path

from cplxsep.errors import InputError

Row = dict[str, str]


def read_table(path: Path) -> tuple[list[str], list[tuple[str, Row]]]:
    """Names of the columns and the rows, each with "FILE line 3"; no spaces around anything.

    Cells that a short row lacks are empty. Semicolons may stand for commas. InputError: unreadable.
    """
    try:
        # Paths need not be valid text.
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            head = file.readline()
            file.seek(0)
            comma = ";" if ";" in head and "," not in head else ","
            lines = csv.reader(file, delimiter=comma)
            columns = [name.strip() for name in next(lines, [])]
            rows = []
            for cells in filter(None, lines):
                short = len(columns) - len(cells)
                values = [*map(str.strip, cells), *([""] * short)]
                row = dict(zip(columns, values, strict=False))
                rows.append((f"{path} line {lines.line_num}", row))
            return columns, rows
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV text file: {error}") from error
